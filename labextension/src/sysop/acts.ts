// What only the sysop may do, over REST; the realm enforces it.
import type { PersonInfo, Quotas, RuleInfo } from '../protocol';
import type { Requests } from '../requests';
import type { IAuditEntry, IPage, ISysop } from '../tokens';

export class Sysop implements ISysop {
  constructor(private readonly _requests: Requests) {}

  async people(): Promise<PersonInfo[]> {
    return (await this._requests.json<Partial<IPage<PersonInfo>>>('api/sysop/people')).items ?? [];
  }

  ban(user: string, reason: string): Promise<void> {
    return this._act('ban', { user, reason });
  }

  unban(user: string, reason: string): Promise<void> {
    return this._act('unban', { user, reason });
  }

  async stopQueries(user: string, reason: string): Promise<number> {
    const path = 'api/sysop/stop-queries';
    return (await this._requests.post<{ stopped: number }>(path, { user, reason })).stopped;
  }

  grant(user: string, micro: number, reason: string): Promise<void> {
    return this._act('grant', { user, micro, reason });
  }

  async rules(): Promise<RuleInfo[]> {
    return (await this._requests.json<Partial<IPage<RuleInfo>>>('api/sysop/quota')).items ?? [];
  }

  rule(
    kind: RuleInfo['kind'],
    subject: string,
    quotas: Quotas | null,
    reason: string
  ): Promise<void> {
    const whom = { person: 'user', group: 'group', role: 'role' }[kind];
    return this._act('quota', { [whom]: subject, quotas, reason });
  }

  worker(name: string, order: 'drain' | 'resume' | 'remove'): Promise<void> {
    return this._act(`workers/${encodeURIComponent(name)}/${order}`, {});
  }

  model(worker: string, order: 'load' | 'unload', model: string): Promise<void> {
    return this._act(`workers/${encodeURIComponent(worker)}/${order}`, { model });
  }

  notice(text: string): Promise<void> {
    return this._act('notice', { text });
  }

  pause(on: boolean, reason: string): Promise<void> {
    return this._act('pause', { on, reason });
  }

  reload(): Promise<void> {
    return this._act('reload', {});
  }

  async audit(before = ''): Promise<IPage<IAuditEntry>> {
    const path = 'api/sysop/audit' + (before ? `?before=${before}` : '');
    const page = await this._requests.json<Partial<IPage<IAuditEntry>>>(path);
    return { items: page.items ?? [], next: page.next };
  }

  private _act(path: string, body: object): Promise<void> {
    return this._requests.post(`api/sysop/${path}`, body);
  }
}
