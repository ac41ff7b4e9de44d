import { toHex } from '../../lib/bytes.ts'
import { randomBytes } from '../../lib/random.ts'

/** A new place within a location, for files that are removed again. Nobody who uses a repository there looks into it. */
export function scratchLocation(location: string, purpose: string): string {
  const name = `holdfast-${purpose}-${toHex(randomBytes(4))}`
  const base = location.replace(/\/+$/, '')
  return base.endsWith(':') && location.endsWith('/')
    ? `${location}${name}`
    : base.endsWith(':')
      ? `${base}${name}`
      : `${base}/${name}`
}
