import { rmSync } from 'node:fs'
import { killAll, processesIn } from './processes.ts'

/**
 * A process of its own beside a sandbox: `node watchdog.ts FOLDER`. Its standard input ends when the process that owns the sandbox ends,
 * however it does; then the servers in the folder are killed and the folder is removed.
 */
const folder = process.argv[2]!
const removal = { recursive: true, force: true, maxRetries: 10, retryDelay: 100 } as const

process.stdin.resume()
process.stdin.on('end', () => {
  // Until there is none: a server that was about to start another process may have done so.
  for (let round = 0; round < 50; round++) {
    const pids = processesIn(folder)
    if (pids.length === 0) break
    killAll(pids)
  }
  rmSync(folder, removal)
  process.exit(0)
})
