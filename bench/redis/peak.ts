import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

const POLL_MS = 20

/** Runs something, and looks at the processes it starts below this one: the most memory that one of them had that is a Node, in bytes. */
export async function withNodePeak<T>(
  run: () => Promise<T>,
): Promise<{ readonly value: T; readonly peakBytes: number }> {
  let peakBytes = 0
  const others = new Set(descendantsOf(process.pid))
  const poll = setInterval(() => {
    for (const pid of descendantsOf(process.pid))
      if (!others.has(pid)) peakBytes = Math.max(peakBytes, highWaterOf(pid))
  }, POLL_MS)
  try {
    const value = await run()
    return { value, peakBytes }
  } finally {
    clearInterval(poll)
  }
}

/** 0 for what is no Node, or gone. */
function highWaterOf(pid: number): number {
  try {
    if (readlinkSync(`/proc/${pid}/exe`) !== readlinkSync('/proc/self/exe')) return 0
    return 1024 * Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

function descendantsOf(pid: number): readonly number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    )
    return children.flatMap((child) => [child, ...descendantsOf(child)])
  } catch {
    return []
  }
}
