import { readFileSync } from 'node:fs'

/**
 * Permission bits the system takes away from new files. Linux tells it; elsewhere it can only be asked for by changing it for a moment, in
 * which files made by other threads would be open to all.
 */
export function currentUmask(): number {
  try {
    const [, octal] = /^Umask:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? []
    if (octal !== undefined) return Number.parseInt(octal, 8)
  } catch {
    // No /proc here.
  }
  return process.umask()
}
