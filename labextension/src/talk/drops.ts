// What is dragged within the lab onto the question: cells of a notebook, files of the file browser.
import type { Contents } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { MimeData } from '@lumino/coreutils';
import { useEffect, type RefObject } from 'react';
import type { IAttachment } from './conversation';

/** As the notebook and the file browser name what they let go of. */
const CELLS = 'application/vnd.jupyter.cells';
const FILES = 'application/x-jupyter-icontents';

/** What of Lumino's drag events is looked at. */
interface IDrag extends Event {
  readonly mimeData: MimeData;
  readonly proposedAction: string;
  dropAction: string;
}

interface ICell {
  source: string | string[];
}

/** Return the words of some cells. */
export function sourceOf(cells: ReadonlyArray<ICell>): string {
  return cells.map(({ source }) => (Array.isArray(source) ? source.join('') : source)).join('\n\n');
}

/** Read a file of the lab as something to be attached. */
export async function fileOf(contents: Contents.IManager, path: string): Promise<IAttachment> {
  const { name, type, format, mimetype, content } = await contents.get(path, { content: true });
  if (type === 'notebook') {
    return { name, content: sourceOf((content as { cells: ICell[] }).cells) };
  }
  if (format !== 'base64') {
    return { name, content: String(content) };
  }
  const bytes = Uint8Array.from(atob(content as string), one => one.charCodeAt(0));
  return { name, content: new Blob([bytes], { type: mimetype }) };
}

/** Have what is dropped on an element attached; what cannot be read is told to `complain`. */
export function useDrops(
  host: RefObject<HTMLElement>,
  contents: Contents.IManager | null,
  trans: TranslationBundle,
  attach: (attachment: IAttachment) => void,
  complain: (words: string) => void
): void {
  useEffect(() => {
    const node = host.current!;
    const onDrag = (event: Event): void => {
      const drag = event as IDrag;
      if (!drag.mimeData.hasData(CELLS) && !drag.mimeData.hasData(FILES)) {
        return;
      }
      drag.preventDefault();
      drag.stopPropagation();
      drag.dropAction = drag.proposedAction === 'none' ? 'none' : 'copy';
      if (drag.type !== 'lm-drop') {
        return;
      }
      const cells = drag.mimeData.getData(CELLS) as ICell[] | undefined;
      if (cells) {
        attach({ name: trans._n('%1 cell', '%1 cells', cells.length), content: sourceOf(cells) });
      }
      for (const path of (drag.mimeData.getData(FILES) as string[] | undefined) ?? []) {
        if (contents) {
          fileOf(contents, path).then(attach, (reason: Error) =>
            complain(`${path}: ${reason.message}`)
          );
        }
      }
    };
    const names = ['lm-dragenter', 'lm-dragover', 'lm-drop'];
    names.forEach(name => node.addEventListener(name, onDrag));
    return () => names.forEach(name => node.removeEventListener(name, onDrag));
  }, [host, contents, trans, attach, complain]);
}
