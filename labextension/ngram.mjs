// Writes src/ngram.ts from ngram.json, the protocol's own schema; `make ngram` makes both.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { compile } from 'json-schema-to-typescript';

const here = new URL('.', import.meta.url);

/** Take out what would make a second name for one type: titles, and defaults beside references. */
function plain(node) {
  if (Array.isArray(node)) {
    return node.map(plain);
  }
  if (node === null || typeof node !== 'object') {
    return node;
  }
  if ('$ref' in node) {
    return { $ref: node.$ref };
  }
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key, value]) => !(key === 'title' && typeof value === 'string'))
      .map(([key, value]) => [key, plain(value)])
  );
}

export async function generate() {
  const schema = JSON.parse(await readFile(new URL('ngram.json', here), 'utf8'));
  const written = await compile({ $defs: plain(schema.$defs) }, 'Ngram', {
    additionalProperties: false,
    bannerComment: '// Generated from the protocol by `make ngram`. Not to be edited.',
    ignoreMinAndMaxItems: true,
    style: { singleQuote: true, trailingComma: 'none', arrowParens: 'avoid' },
    unreachableDefinitions: true
  });
  return written
    .replace(/\n \*\n \* This interface was referenced by[^/]*\//g, '\n */')
    .replace(/\/\*\*\n \* This interface was referenced by[^/]*\/\n/g, '')
    .replace(/export interface Ngram {\n[^}]*}\n/, '');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const target = new URL('src/ngram.ts', here);
  const written = await generate();
  if (!process.argv.includes('--check')) {
    await writeFile(target, written);
  } else if ((await readFile(target, 'utf8')) !== written) {
    console.error('src/ngram.ts is not what the protocol says: run `make ngram`.');
    process.exitCode = 1;
  }
}
