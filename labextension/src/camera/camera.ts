// The camera, while it is wanted. Nothing is asked of the browser before somebody presses a button.
import { mediaDevices, release, troubleOf, type DeviceTrouble } from '../common/devices';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

export class Camera implements IDisposable {
  /** What it sees; `null` while it is off. */
  get stream(): MediaStream | null {
    return this._stream;
  }

  get trouble(): DeviceTrouble {
    return this._trouble;
  }

  /** The cameras that there are; named only once one was allowed. */
  get devices(): ReadonlyArray<MediaDeviceInfo> {
    return this._devices;
  }

  /** The one in use; empty while it is off. */
  get device(): string {
    return this._stream?.getVideoTracks()[0]?.getSettings().deviceId ?? '';
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Switch on the one used last, or another one. Never throws: `trouble` says what is wrong. */
  async start(deviceId = this._chosen): Promise<void> {
    this.stop();
    this._chosen = deviceId;
    const media = mediaDevices();
    if (media === undefined) {
      this._fail('insecure');
      return;
    }
    const asked = ++this._asked;
    try {
      const video = { deviceId: deviceId ? { exact: deviceId } : undefined, width: { ideal: 1280 } };
      const stream = await media.getUserMedia({ video });
      if (asked !== this._asked || this._isDisposed) {
        release(stream);
        return;
      }
      this._stream = stream;
      this._trouble = '';
      this._devices = (await media.enumerateDevices()).filter(one => one.kind === 'videoinput');
      this._changed.emit();
    } catch (error) {
      const trouble = troubleOf(error as DOMException);
      if (trouble === 'absent' && deviceId) {
        // The one that was chosen was pulled out: another does.
        await this.start('');
      } else {
        this._fail(trouble);
      }
    }
  }

  /** Do without it: what went wrong with it matters no more. */
  leave(): void {
    this._trouble = '';
    this._changed.emit();
    this.stop();
  }

  /** Switch it off: its light goes out. */
  stop(): void {
    this._asked++;
    if (this._stream) {
      release(this._stream);
      this._stream = null;
      this._changed.emit();
    }
  }

  dispose(): void {
    this.stop();
    this._isDisposed = true;
    Signal.clearData(this);
  }

  private _fail(trouble: DeviceTrouble): void {
    this._trouble = trouble;
    this._changed.emit();
  }

  private _stream: MediaStream | null = null;
  private _trouble: DeviceTrouble = '';
  private _devices: MediaDeviceInfo[] = [];
  private _chosen = '';
  private _asked = 0;
  private _changed = new Signal<this, void>(this);
  private _isDisposed = false;
}

/** Return what the camera shows now, as a JPEG. */
export function frame(video: HTMLVideoElement, trans: TranslationBundle): Promise<Blob> {
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext('2d')!.drawImage(video, 0, 0);
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      blob => (blob ? resolve(blob) : reject(new Error(trans.__('The frame could not be taken.')))),
      'image/jpeg',
      0.92
    );
  });
}
