// What stands for a realm in the unit tests: its socket, and its answers over HTTP.
import type { ClientNGram, RealmNGram, Welcome } from './protocol';
import { Realm } from './realm';
import type { Requests } from './requests';

/** A socket of a realm that says what a test has it say. */
export class Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly heard: ClientNGram[] = [];

  send(frame: string): void {
    this.heard.push(JSON.parse(frame) as ClientNGram);
  }

  close(): void {
    // Nobody listens any more.
  }

  tell(ngram: RealmNGram): void {
    this.onmessage?.({ data: JSON.stringify(ngram) });
  }

  open(epoch = 1, more: Partial<Welcome> = {}): void {
    this.onopen?.();
    this.tell({
      op: 'welcome', user: 'ada', role: 'user', epoch, version: '0', max_frame_bytes: 1, ...more
    }); // prettier-ignore
  }

  said(op: ClientNGram['op']): ClientNGram[] {
    return this.heard.filter(one => one.op === op);
  }
}

/** Return a realm, the sockets that it opens, and has it read `answers`, by their paths. */
export function realmOf(answers: Record<string, unknown> = {}): {
  realm: Realm;
  sockets: Socket[];
} {
  const sockets: Socket[] = [];
  const requests = {
    socket: () => {
      const socket = new Socket();
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
    json: async (path: string) => answers[path]
  };
  return { realm: new Realm(requests as unknown as Requests, 'test'), sockets };
}
