import type { Contents } from '@jupyterlab/services';
import { fileOf, sourceOf } from './drops';

function holding(model: Partial<Contents.IModel>): Contents.IManager {
  return { get: async () => ({ name: 'a', ...model }) } as unknown as Contents.IManager;
}

test('cells become their words', () => {
  expect(sourceOf([{ source: 'x = 1' }, { source: ['y\n', '= 2'] }])).toBe('x = 1\n\ny\n= 2');
});

test('a text of the lab is attached as words, a notebook as its cells', async () => {
  const text = await fileOf(holding({ type: 'file', format: 'text', content: 'hi' }), 'a');
  expect(text).toEqual({ name: 'a', content: 'hi' });
  const notebook = { type: 'notebook' as const, content: { cells: [{ source: 'x' }] } };
  expect((await fileOf(holding(notebook), 'a')).content).toBe('x');
});

test('a picture of the lab is attached as it is', async () => {
  const model = { type: 'file' as const, format: 'base64' as const, mimetype: 'image/png' };
  const { content } = await fileOf(holding({ ...model, content: btoa('abc') }), 'a.png');
  expect([(content as Blob).type, (content as Blob).size]).toEqual(['image/png', 3]);
});
