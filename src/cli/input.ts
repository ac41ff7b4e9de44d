import type { InputStream } from './terminal.ts'

export interface LineOptions {
  /** Read keys one by one without showing them; `input` must be a terminal. */
  readonly hidden?: boolean
  readonly signal?: AbortSignal
}

/**
 * The next line of `input` without its end; undefined when there is none any more. What follows the line stays in the stream.
 * Ctrl-C in a hidden line sends SIGINT to this process, as the terminal would.
 * @throws the signal's reason
 */
export function readLine(input: InputStream, options: LineOptions = {}): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const line: number[] = []
    const { signal } = options
    const finish = (settle: () => void): void => {
      input.off('data', onData)
      input.off('end', onEnd)
      input.off('error', onError)
      signal?.removeEventListener('abort', onAbort)
      input.pause()
      if (options.hidden === true) input.setRawMode?.(false)
      settle()
    }
    const text = (): string => Buffer.from(line).toString('utf8').replace(/\r$/, '')
    const onData = (chunk: Buffer): void => {
      for (const [index, byte] of chunk.entries()) {
        const end = options.hidden === true ? takeKey(line, byte) : takeByte(line, byte)
        if (end === 'more') continue
        const rest = chunk.subarray(index + 1)
        finish(() => resolve(end === 'line' || line.length > 0 ? text() : undefined))
        if (rest.length > 0) input.unshift(rest)
        return
      }
    }
    const onEnd = (): void => finish(() => resolve(line.length > 0 ? text() : undefined))
    const onError = (error: Error): void => finish(() => reject(error))
    const onAbort = (): void => finish(() => reject(signal?.reason))
    if (signal?.aborted) return reject(signal.reason)
    if (input.readableEnded) return resolve(undefined)
    signal?.addEventListener('abort', onAbort, { once: true })
    if (options.hidden === true) input.setRawMode?.(true)
    input.on('data', onData)
    input.on('end', onEnd)
    input.on('error', onError)
    input.resume()
  })
}

type Progress = 'more' | 'line' | 'end'

function takeByte(line: number[], byte: number): Progress {
  if (byte === 0x0a) return 'line'
  line.push(byte)
  return 'more'
}

/** One key of a terminal in raw mode, where the kernel does no editing. */
function takeKey(line: number[], byte: number): Progress {
  switch (byte) {
    case 0x0a:
    case 0x0d:
      return 'line'
    case 0x03: // Ctrl-C
      process.kill(process.pid, 'SIGINT')
      return 'more'
    case 0x04: // Ctrl-D
      return line.length === 0 ? 'end' : 'more'
    case 0x15: // Ctrl-U
      line.length = 0
      return 'more'
    case 0x08:
    case 0x7f:
      // The last character, of which all but the first byte look like 10xxxxxx in UTF-8.
      while (line.length > 0 && (line.pop()! & 0xc0) === 0x80);
      return 'more'
    default:
      line.push(byte)
      return 'more'
  }
}
