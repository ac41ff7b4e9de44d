import type { Configuration, ConfiguredSource } from '../../config/configuration.ts'
import { locationConflict } from '../../control/location.ts'
import type { HoldfastError } from '../../lib/errors.ts'

/** Why snapshots of a source may not lie in a repository, named as in the configuration or by its location; undefined when they may. */
export const conflictOf = (
  { repositories }: Configuration,
  { name, location }: ConfiguredSource,
  repository: string,
): HoldfastError | undefined =>
  locationConflict({ name, location }, { name: repository, location: repositories.get(repository)?.place.location })

/** Those repositories of a source that its snapshots may not lie in, by name. */
export const conflictsOf = (
  configuration: Configuration,
  source: ConfiguredSource,
): ReadonlyMap<string, HoldfastError> =>
  new Map(
    source.repositories.flatMap((name) => {
      const conflict = conflictOf(configuration, source, name)
      return conflict === undefined ? [] : [[name, conflict] as const]
    }),
  )
