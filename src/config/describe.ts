import type { Configuration } from './configuration.ts'
import { asRecord, type ConfigurationPath, formatPath } from './path.ts'

/** Text, a number, true or false, or a list of such. */
export type DescribedValue = string | number | boolean | null | readonly DescribedValue[]

export interface DescribedSetting {
  /** `sources.shop.port`. */
  readonly path: string
  readonly value: DescribedValue
  /** `FILE:LINE:COLUMN`, the name of a variable, or `default`. */
  readonly origin: string
}

/** Every setting that holds, written or by default. Secrets stand there as references; passwords within URLs as `***`. */
export function describeConfiguration(configuration: Configuration): readonly DescribedSetting[] {
  const settings: DescribedSetting[] = []
  const visit = (value: unknown, path: ConfigurationPath): void => {
    const record = asRecord(value)
    if (record !== undefined) for (const [key, below] of Object.entries(record)) visit(below, [...path, key])
    else if (Array.isArray(value) && value.some(holdsRecord))
      for (const [index, below] of value.entries()) visit(below, [...path, index])
    else settings.push({ path: formatPath(path), value: shown(value), origin: configuration.originOf(path) })
  }
  visit(configuration.effective(), [])
  return settings
}

const holdsRecord = (value: unknown): boolean =>
  Array.isArray(value) ? value.some(holdsRecord) : asRecord(value) !== undefined

function shown(value: unknown): DescribedValue {
  if (Array.isArray(value)) return value.map(shown)
  if (typeof value === 'string') return withoutPasswords(value)
  return typeof value === 'number' || typeof value === 'boolean' ? value : null
}

/** A URL as it may be shown. What might be a password is hidden rather than shown: everything from the first colon to the last `@`. */
export function withoutPasswords(text: string): string {
  return text
    .replace(/(:\/\/[^:@/?#]*):.*@/s, '$1:***@')
    .replace(/([?&][^=&]*(?:pass|pwd|secret|token)[^=&]*=)[^&#]*/gi, '$1***')
}
