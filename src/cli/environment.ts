import type { Environment } from '../config/environment.ts'

export type { Environment }

/** Prefixes of variable names: our own come first, restic's are understood too. */
export const environmentPrefixes = ['HOLDFAST_', 'RESTIC_'] as const

export interface EnvironmentValue {
  readonly name: string
  readonly value: string
}

/** HOLDFAST_`name` or else RESTIC_`name`; an empty variable counts as not set, as in restic. */
export function readEnvironment(environment: Environment, name: string): EnvironmentValue | undefined {
  for (const prefix of environmentPrefixes) {
    const value = environment[prefix + name]
    if (value !== undefined && value !== '') return { name: prefix + name, value }
  }
  return undefined
}
