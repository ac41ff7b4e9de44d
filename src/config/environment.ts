/** The environment of the process, as far as it is set. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The value of a variable; an empty one counts as not set. */
export function variable(environment: Environment, name: string): string | undefined {
  const value = environment[name]
  return value === '' ? undefined : value
}
