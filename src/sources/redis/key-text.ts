const MAX_SHOWN_BYTES = 120

/** A key for messages, as redis-cli shows it: quoted, with what is not printable ASCII as `\x00`; long ones are cut. */
export function keyText(key: Uint8Array): string {
  let text = ''
  for (const byte of key.subarray(0, MAX_SHOWN_BYTES)) {
    const character = String.fromCharCode(byte)
    if (byte >= 0x20 && byte < 0x7f) text += character === '"' || character === '\\' ? `\\${character}` : character
    else text += `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return `"${text}"${key.length > MAX_SHOWN_BYTES ? `... (${key.length} bytes)` : ''}`
}
