import { HoldfastError } from '../../lib/errors.ts'

/** The value of the option `SCHEME.connections`, which every store has. @throws HoldfastError HF_USAGE */
export function connectionsOf(scheme: string, value: string): number {
  const connections = Number(value)
  if (/^[0-9]+$/.test(value) && connections >= 1 && connections <= 1000) return connections
  throw new HoldfastError('HF_USAGE', `${scheme}.connections is a number from 1 to 1000, not ${JSON.stringify(value)}`)
}
