import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { monotonicMilliseconds, systemClock } from '../../src/lib/clock.ts'

const LIMIT_MS = 5000
const QUIET_BYTES = 4 * 1024 * 1024

/** Waits until what earlier runs wrote has reached the disk, so that the next one does not pay for it; at most 5 s where others write too. */
export async function settle(): Promise<void> {
  spawnSync('sync')
  const started = monotonicMilliseconds()
  while (pendingBytes() > QUIET_BYTES && monotonicMilliseconds() - started < LIMIT_MS) await systemClock.sleep(100)
}

function pendingBytes(): number {
  const facts = readFileSync('/proc/meminfo', 'utf8')
  const kibibytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(facts)?.[1] ?? 0)
  return (kibibytes('Dirty') + kibibytes('Writeback')) * 1024
}
