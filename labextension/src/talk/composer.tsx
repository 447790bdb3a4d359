// What is said next: the question, what goes along with it, and who is to answer.
import { clearIcon, closeIcon, pasteIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';
import React, { useCallback, useEffect, useReducer, useRef, useState } from 'react';
import { IconButton } from '../common/button';
import { VoiceBar } from '../voice/bar';
import type { IAttachment } from './conversation';
import { useDrops } from './drops';
import { ModelPicker } from './models';
import { Price } from './price';
import type { ITalkProps } from './talk';

export function Composer(props: ITalkProps): JSX.Element {
  const { conversation, realm, notebook, trans } = props;
  const [trouble, setTrouble] = useState('');
  const form = useRef<HTMLFormElement>(null);
  const attach = useCallback((one: IAttachment) => conversation.attach(one), [conversation]);
  useDrops(form, props.contents, trans, attach, setTrouble);
  const running = conversation.running;
  const prompt = conversation.prompt;
  // At once, not with the next frame: a text field must not lag behind its typing.
  const [, render] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    conversation.written.connect(render);
    return () => {
      conversation.written.disconnect(render);
    };
  }, [conversation]);

  const send = useCallback(async () => {
    if (!prompt.trim() && conversation.attachments.length === 0) {
      return;
    }
    try {
      setTrouble('');
      const asked = conversation.send(prompt);
      conversation.prompt = '';
      await asked;
    } catch (error) {
      conversation.prompt = prompt;
      setTrouble((error as Error).message);
    }
  }, [prompt, conversation]);

  const onKeyDown = (event: React.KeyboardEvent): void => {
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      if (!running) {
        void send();
      }
    } else if (event.key === 'Escape' && running) {
      conversation.stop();
    }
  };
  const attachFiles = (files: Iterable<File>): boolean => {
    let any = false;
    for (const file of files) {
      any = true;
      if (/^(image|audio)\//.test(file.type)) {
        conversation.attach({ name: file.name, content: file });
      } else {
        void file.text().then(content => conversation.attach({ name: file.name, content }));
      }
    }
    return any;
  };

  return (
    <form
      className="jp-mtor-composer"
      ref={form}
      onSubmit={event => {
        event.preventDefault();
        void send();
      }}
      onDragOver={event => event.preventDefault()}
      onDrop={event => {
        if (attachFiles(event.dataTransfer.files)) {
          event.preventDefault();
        }
      }}
    >
      {trouble && (
        <p className="jp-mtor-trouble" role="alert">
          {trouble}
        </p>
      )}
      {conversation.attachments.length > 0 && (
        <ul className="jp-mtor-attachments" aria-label={trans.__('Attached')}>
          {conversation.attachments.map((one, index) => (
            <li key={index}>
              {one.name}
              <IconButton
                icon={closeIcon}
                label={trans.__('Take %1 off', one.name)}
                onClick={() => conversation.detach(one)}
              />
            </li>
          ))}
        </ul>
      )}
      <textarea
        className="jp-mtor-prompt"
        aria-label={trans.__('Your question')}
        placeholder={trans.__('Ask, or drop a file here')}
        rows={3}
        dir="auto"
        value={prompt}
        onChange={event => {
          conversation.prompt = event.target.value;
        }}
        onKeyDown={onKeyDown}
        onPaste={event => {
          if (attachFiles(event.clipboardData.files)) {
            event.preventDefault();
          }
        }}
      />
      {props.assistant && <VoiceBar assistant={props.assistant} trans={trans} />}
      <div className="jp-mtor-bar">
        <ModelPicker {...props} />
        <Price realm={realm} conversation={conversation} prompt={prompt} trans={trans} />
        <span className="jp-mtor-space" />
        <IconButton
          icon={clearIcon}
          label={trans.__('New conversation')}
          onClick={() => conversation.forget()}
        />
        {notebook && (
          <IconButton
            icon={pasteIcon}
            label={trans.__('Attach the selected cell')}
            onClick={() => {
              const cell = notebook.cell();
              if (cell) {
                conversation.attach(cell);
              }
            }}
          />
        )}
        {running ? (
          <IconButton
            icon={stopIcon}
            label={trans.__('Stop the answer')}
            onClick={() => conversation.stop()}
          />
        ) : (
          <IconButton icon={runIcon} label={trans.__('Send')} onClick={() => void send()} />
        )}
      </div>
    </form>
  );
}
