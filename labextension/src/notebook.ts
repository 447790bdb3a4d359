// The panel's way to the notebook that is being worked on.
import type { TranslationBundle } from '@jupyterlab/translation';
import type { INotebookTracker } from '@jupyterlab/notebook';
import { NotebookActions } from '@jupyterlab/notebook';
import type { IAttachment } from './talk/conversation';

/** What the panel does with a notebook. */
export interface INotebookSide {
  /** Put `text` into a new cell below the selected one; nothing where no notebook is open. */
  insert(text: string, type: 'code' | 'markdown'): void;
  /** Return the selected cell; `null` where there is none or it is empty. */
  cell(): IAttachment | null;
}

export class NotebookSide implements INotebookSide {
  constructor(
    private readonly _tracker: INotebookTracker,
    private readonly _trans: TranslationBundle
  ) {}

  insert(text: string, type: 'code' | 'markdown'): void {
    const notebook = this._tracker.currentWidget?.content;
    if (!notebook) {
      return;
    }
    NotebookActions.insertBelow(notebook);
    NotebookActions.changeCellType(notebook, type);
    notebook.activeCell?.model.sharedModel.setSource(text);
    if (type === 'markdown') {
      void NotebookActions.run(notebook);
    }
  }

  cell(): IAttachment | null {
    const notebook = this._tracker.currentWidget?.content;
    const source = this._tracker.activeCell?.model.sharedModel.getSource() ?? '';
    if (!notebook || !source.trim()) {
      return null;
    }
    return { name: this._trans.__('cell %1', notebook.activeCellIndex + 1), content: source };
  }
}
