// The panel's way to the notebook that is being worked on.
import type { TranslationBundle } from '@jupyterlab/translation';
import type { INotebookTracker } from '@jupyterlab/notebook';
import { Notification } from '@jupyterlab/apputils';
import { NotebookActions } from '@jupyterlab/notebook';
import { removeMath, replaceMath } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { harmless } from './common/harmless';
import type { IAttachment } from './talk/conversation';

/** What the panel does with a notebook. */
export interface INotebookSide {
  /**
   * Put `text` into a new cell below the selected one; where no notebook is open, say so.
   * What would load something is put there as its source.
   */
  insert(text: string, type: 'code' | 'markdown'): Promise<void>;
  /** Return the selected cell; where there is none or it is empty, say so and return `null`. */
  cell(): IAttachment | null;
}

export class NotebookSide implements INotebookSide {
  constructor(
    private readonly _tracker: INotebookTracker,
    /** The lab's own, which is what renders cells. */
    private readonly _parser: IRenderMime.IMarkdownParser | null,
    private readonly _trans: TranslationBundle
  ) {}

  async insert(text: string, type: 'code' | 'markdown'): Promise<void> {
    const source = type === 'markdown' ? await harmless(text, words => this._render(words)) : text;
    const notebook = this._tracker.currentWidget?.content;
    if (!notebook) {
      this._tell(this._trans.__('Open a notebook first: this goes below its selected cell.'));
      return;
    }
    NotebookActions.insertBelow(notebook);
    NotebookActions.changeCellType(notebook, type);
    notebook.activeCell?.model.sharedModel.setSource(source);
    if (type === 'markdown') {
      await NotebookActions.run(notebook);
    }
    if (source !== text) {
      this._tell(
        this._trans.__('The answer would load something from elsewhere: its source was inserted.')
      );
    }
  }

  cell(): IAttachment | null {
    const notebook = this._tracker.currentWidget?.content;
    const source = this._tracker.activeCell?.model.sharedModel.getSource() ?? '';
    if (!notebook || !source.trim()) {
      this._tell(this._trans.__('Select a cell of a notebook first, one that is not empty.'));
      return null;
    }
    return { name: this._trans.__('cell %1', notebook.activeCellIndex + 1), content: source };
  }

  /** Make HTML of Markdown as a cell does: what a formula hides is Markdown once that is out of it. */
  private async _render(markdown: string): Promise<string> {
    const { text, math } = removeMath(markdown);
    const html = this._parser ? await this._parser.render(text) : `<pre>${text}</pre>`;
    return replaceMath(html, math);
  }

  private _tell(words: string): void {
    Notification.info(words, { autoClose: 5000 });
  }
}
