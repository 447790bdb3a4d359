// The pictures of this page, the latest first.
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';
import { dataUrl, saveAs } from '../common/files';
import type { INotebookSide } from '../notebook';
import type { IRealm, IRunning } from '../tokens';

/** One picture, from its words on. */
export interface IDrawing {
  key: number;
  prompt: string;
  running: IRunning;
  /** Have the browser keep the picture as a file. */
  save(blob: string): Promise<void>;
  /** Put it into a new cell of the notebook, whole: it needs no realm to be seen there. */
  insert(blob: string, notebook: INotebookSide): Promise<void>;
}

export class Drawings implements IDisposable {
  constructor(private readonly _realm: IRealm) {}

  get all(): ReadonlyArray<IDrawing> {
    return this._all;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Begin a picture of what the words say. */
  draw(prompt: string): IDrawing {
    const realm = this._realm;
    const running = realm.ask({
      model: 'image',
      messages: [{ role: 'user', parts: [{ type: 'text', text: prompt.trim() }] }]
    });
    const drawing: IDrawing = {
      key: this._count++,
      prompt: prompt.trim(),
      running,
      save: async blob => saveAs(await realm.download(blob), fileName(prompt)),
      insert: async (blob, notebook) => {
        const url = await dataUrl(await realm.download(blob));
        await notebook.insert(`![${prompt.trim().replace(/[[\]]/g, '')}](${url})`, 'markdown');
      }
    };
    this._all = [drawing, ...this._all];
    this._changed.emit();
    return drawing;
  }

  dispose(): void {
    this._isDisposed = true;
    Signal.clearData(this);
  }

  private _all: IDrawing[] = [];
  private _count = 0;
  private _changed = new Signal<this, void>(this);
  private _isDisposed = false;
}

/** Return a file's name made of a prompt's words. */
export function fileName(prompt: string): string {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ['picture'];
  return `${words.slice(0, 6).join('-').slice(0, 60)}.png`;
}
