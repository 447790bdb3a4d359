// What a browser says when it gives no camera and no microphone.

/** Why a device is not there; empty where it is. */
export type DeviceTrouble = '' | 'insecure' | 'denied' | 'absent' | 'busy';

/** Return the browser's devices; `undefined` on a plain http page of another machine. */
export function mediaDevices(): MediaDevices | undefined {
  return navigator.mediaDevices as MediaDevices | undefined;
}

/** Return what an error of `getUserMedia` means. */
export function troubleOf(error: DOMException): DeviceTrouble {
  switch (error.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'denied';
    case 'NotReadableError':
      return 'busy';
    default:
      return 'absent';
  }
}

/** Switch a device off: its light goes out. */
export function release(stream: MediaStream): void {
  for (const track of stream.getTracks()) {
    track.stop();
  }
}
