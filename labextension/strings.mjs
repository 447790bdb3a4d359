// Writes locale/mtor_realm.pot, the panel's words for translators, from src/ and schema/.
// With --check: whether it is fresh, and whether every word that people see is given to translators.
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const here = new URL('.', import.meta.url);
const target = new URL('locale/mtor_realm.pot', here);

/** What JupyterLab's translators are called by, and how many of the first arguments are theirs. */
const WRAPPERS = { __: 1, gettext: 1, _n: 2, ngettext: 2, _p: 2, pgettext: 2 };
/** Attributes and properties that people see. */
const SEEN = new Set(['title', 'aria-label', 'placeholder', 'alt', 'label', 'caption', 'message']);
const WORDS = /\p{L}{2}/u;
/** Not translated: a name, and what only developers read. */
const NAMES = new Set(['MTOR:', 'CPU', '% CPU']);

/** Return the files of `folder` whose name ends so, sorted. */
async function filesOf(folder, ...endings) {
  const all = await readdir(new URL(folder, here), { recursive: true });
  return all
    .filter(name => endings.some(end => name.endsWith(end)) && !/\.test\.|(^|\/)ngram\.ts/.test(name))
    .map(name => `${folder}${name}`)
    .sort();
}

/** Return the text of a literal; `undefined` where it is none. */
function literal(node) {
  return node && ts.isStringLiteralLike(node) ? node.text : undefined;
}

/** Return the words of a template that is filled in; `undefined` where it has none. */
function template(node) {
  return node && ts.isTemplateExpression(node)
    ? [node.head, ...node.templateSpans.map(span => span.literal)].map(one => one.text).join(' … ')
    : undefined;
}

/** Look through one file: `found` gets its strings, `missed` the words that are not wrapped. */
function read(file, source, found, missed) {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true);
  const miss = (node, text) => {
    if (text !== undefined && WORDS.test(text) && !NAMES.has(text.trim())) {
      const { line } = tree.getLineAndCharacterOfPosition(node.getStart());
      missed.push(`${file}:${line + 1}: ${JSON.stringify(text.trim())} is not given to translators`);
    }
  };
  const visit = node => {
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      const name = node.expression.name.text;
      if (name in WRAPPERS) {
        const texts = node.arguments.slice(0, WRAPPERS[name]).map(literal);
        if (texts.includes(undefined)) {
          missed.push(`${file}: ${node.getText()} has no literal to translate`);
        } else {
          const context = name.endsWith('p') || name === 'pgettext' ? texts.shift() : '';
          found.push({ context, id: texts[0], plural: texts[1] ?? '', file });
        }
      }
    }
    if (ts.isJsxText(node)) {
      miss(node, node.text);
    } else if (ts.isJsxExpression(node) && !ts.isJsxAttribute(node.parent)) {
      miss(node, literal(node.expression));
    } else if (ts.isJsxAttribute(node) && SEEN.has(node.name.text) && node.initializer) {
      const value = node.initializer;
      const shown = ts.isJsxExpression(value) ? value.expression : value;
      miss(node, literal(shown) ?? template(shown));
    } else if (ts.isPropertyAssignment(node) && SEEN.has(node.name.text)) {
      miss(node, literal(node.initializer) ?? template(node.initializer));
    } else if (ts.isNewExpression(node) && /Error$/.test(node.expression.getText())) {
      const said = node.arguments?.[0];
      miss(node, literal(said) ?? template(said));
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
}

/** The words of a settings schema, as JupyterLab looks them up. */
function readSchema(file, schema, found) {
  const take = (node, context) => {
    for (const key of ['title', 'description', 'jupyter.lab.setting-icon-label']) {
      if (node[key]) {
        found.push({ context: 'schema', id: node[key], plural: '', file });
      }
    }
    for (const property of Object.values(node.properties ?? {})) {
      take(property, context);
    }
  };
  take(schema);
}

const quoted = text => JSON.stringify(text);

/** Return the catalogue's source, and what is missing in it. */
async function collect() {
  const found = [];
  const missed = [];
  for (const file of await filesOf('src/', '.ts', '.tsx')) {
    read(file, await readFile(new URL(file, here), 'utf8'), found, missed);
  }
  for (const file of await filesOf('schema/', '.json')) {
    readSchema(file, JSON.parse(await readFile(new URL(file, here), 'utf8')), found);
  }
  const entries = new Map();
  for (const one of found) {
    const key = `${one.context}\u0004${one.id}`;
    const entry = entries.get(key) ?? { ...one, files: new Set() };
    entry.files.add(one.file);
    entry.plural ||= one.plural;
    entries.set(key, entry);
  }
  const head = [
    '# The words of the MTOR panel. Written by `jlpm strings`; not to be edited.',
    'msgid ""',
    'msgstr ""',
    '"Project-Id-Version: mtor_realm\\n"',
    '"MIME-Version: 1.0\\n"',
    '"Content-Type: text/plain; charset=UTF-8\\n"',
    '"Content-Transfer-Encoding: 8bit\\n"'
  ];
  const body = [...entries.values()].map(one =>
    [
      '',
      ...[...one.files].map(file => `#: ${file}`),
      ...(one.context ? [`msgctxt ${quoted(one.context)}`] : []),
      `msgid ${quoted(one.id)}`,
      ...(one.plural
        ? [`msgid_plural ${quoted(one.plural)}`, 'msgstr[0] ""', 'msgstr[1] ""']
        : ['msgstr ""'])
    ].join('\n')
  );
  return { written: [...head, ...body].join('\n') + '\n', missed };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { written, missed } = await collect();
  if (!process.argv.includes('--check')) {
    await writeFile(target, written);
  } else if ((await readFile(target, 'utf8').catch(() => '')) !== written) {
    missed.push('locale/mtor_realm.pot is not what the sources say: run `jlpm strings`.');
  }
  if (missed.length > 0) {
    console.error(missed.join('\n'));
    process.exitCode = 1;
  }
}
