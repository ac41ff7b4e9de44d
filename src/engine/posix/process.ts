import { systemErrorCode } from '../../lib/errors.ts'

/**
 * Whether a process with this number exists on this machine, ours to signal or not. Numbers are used again: a yes means "perhaps the same
 * one".
 */
export function processExists(pid: number): boolean {
  // 0 and negative numbers mean groups of processes.
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return systemErrorCode(error) === 'EPERM'
  }
}
