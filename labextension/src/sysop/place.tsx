// The realm as a whole: admission, the catalogue, a word to everybody.
import React, { useEffect, useState } from 'react';
import { useSignals } from '../common/hooks';
import { Act } from './act';
import type { ISectionProps } from './sysop';

export function Place(props: ISectionProps): JSX.Element {
  const { realm, trans, act } = props;
  const [notice, setNotice] = useState('');
  useSignals(realm.stateChanged);
  useEffect(() => {
    const watching = realm.watch();
    return () => watching.dispose();
  }, [realm]);
  const open = realm.state?.admission_open ?? true;
  return (
    <section aria-label={trans.__('Realm')}>
      <h2>{trans.__('Realm')}</h2>
      <div className="jp-mtor-bar">
        <Act
          act={act}
          does={() => realm.sysop.pause(open, '')}
          done={open ? trans.__('Admission is paused.') : trans.__('Admission is open.')}
        >
          {open ? trans.__('Pause admission') : trans.__('Open admission')}
        </Act>
        <Act act={act} does={() => realm.sysop.reload()} done={trans.__('The catalogue is read.')}>
          {trans.__('Reload the catalogue')}
        </Act>
      </div>
      <form
        className="jp-mtor-row"
        onSubmit={event => {
          event.preventDefault();
          void act(() => realm.sysop.notice(notice), trans.__('Everybody was told.'));
          setNotice('');
        }}
      >
        <input
          className="jp-mtor-input"
          aria-label={trans.__('A notice to everybody')}
          placeholder={trans.__('A notice to everybody')}
          value={notice}
          onChange={event => setNotice(event.target.value)}
        />
        <button type="submit" disabled={!notice.trim()}>
          {trans.__('Tell')}
        </button>
      </form>
    </section>
  );
}
