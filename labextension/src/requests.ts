// The one place that speaks HTTP: to the realm, through Jupyter's own server.
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ErrorInfo } from './protocol';

/** What the realm said no to, with the sentence that it says to people. */
export class RealmError extends Error {
  constructor(
    readonly info: ErrorInfo,
    readonly status = 0
  ) {
    super(info.message);
    this.name = 'RealmError';
  }
}

/** Requests below `{base_url}mtor/`, authenticated as everything else in JupyterLab. */
export class Requests {
  constructor(
    readonly settings: ServerConnection.ISettings,
    private readonly _trans: TranslationBundle
  ) {}

  /** Return the address of a path below the realm's root. */
  url(...path: string[]): string {
    return URLExt.join(this.settings.baseUrl, 'mtor', ...path);
  }

  /** Return the WebSocket of the n-grams. */
  socket(protocol: string): WebSocket {
    const { wsUrl, token, appendToken, WebSocket } = this.settings;
    const query = appendToken && token ? `?token=${encodeURIComponent(token)}` : '';
    return new WebSocket(URLExt.join(wsUrl, 'mtor', 'ngram') + query, [protocol]);
  }

  /** Ask for JSON; throws {@link RealmError}. */
  async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await this.fetch(path, init);
    return (response.status === 204 ? undefined : await response.json()) as T;
  }

  /** Send JSON; throws {@link RealmError}. */
  post<T>(path: string, body: unknown, method = 'POST'): Promise<T> {
    const headers = { 'Content-Type': 'application/json' };
    return this.json<T>(path, { method, headers, body: JSON.stringify(body) });
  }

  /** Ask for whatever it is; throws {@link RealmError}. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(this.url(path), init, this.settings);
    } catch {
      throw new RealmError({
        code: 'realm_unreachable',
        message: this._trans.__('The realm does not answer: is the Jupyter server still running?')
      });
    }
    if (!response.ok) {
      throw new RealmError(await readError(response, this._trans), response.status);
    }
    return response;
  }
}

/** Return what an answer that is no success says, also where it is not the realm that says it. */
async function readError(response: Response, trans: TranslationBundle): Promise<ErrorInfo> {
  try {
    const said = (await response.json()) as { error?: ErrorInfo; message?: string };
    if (said.error?.message) {
      return said.error;
    }
    if (said.message) {
      return { code: 'http_' + response.status, message: said.message };
    }
  } catch {
    // Not JSON: a proxy's page, perhaps.
  }
  return {
    code: 'http_' + response.status,
    message: trans.__('The Jupyter server answered %1 %2.', response.status, response.statusText)
  };
}
