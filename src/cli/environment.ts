/** The environment of the process, as far as it is set. */
export type Environment = Readonly<Record<string, string | undefined>>

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
