import { type Draft, nearestPlace, type Part, type Problem } from './draft.ts'
import { suggestion } from './names.ts'
import { asList, asRecord, type ConfigurationPath, formatPath, valueAt } from './path.ts'

/**
 * Names that refer to nothing, and sources that belong to no repository. Works on what was written, so that these are found whatever else is
 * wrong.
 */
export function referenceProblems(draft: Draft): readonly Problem[] {
  const problems: Problem[] = []
  const add = (path: ConfigurationPath, part: Part, what: string): void => {
    problems.push({ place: nearestPlace(draft, path, part), what })
  }
  const written = asRecord(draft.value) ?? {}
  const repositories = namesIn(written.repositories)
  const sources = namesIn(written.sources)

  const checkList = (path: ConfigurationPath): void => {
    const seen = new Set<string>()
    for (const [index, name] of asList(valueAt(draft.value, path)).entries()) {
      if (typeof name !== 'string') continue
      const at = [...path, index]
      if (seen.has(name)) add(at, 'value', `${formatPath(at)}: ${JSON.stringify(name)} is here a second time`)
      else if (repositories !== undefined && !repositories.has(name))
        add(at, 'value', `there is no repository ${JSON.stringify(name)}${suggestion(name, repositories)}`)
      seen.add(name)
    }
  }

  checkList(['defaults', 'repositories'])
  const hasDefault = valueAt(draft.value, ['defaults', 'repositories']) !== undefined
  for (const name of sources ?? []) {
    const path = ['sources', name]
    const source = asRecord(valueAt(draft.value, path))
    if (source === undefined) continue
    if (Object.hasOwn(source, 'repositories')) checkList([...path, 'repositories'])
    else if (!hasDefault && repositories !== undefined && repositories.size !== 1)
      add(
        path,
        'key',
        repositories.size === 0
          ? `source ${JSON.stringify(name)} has nowhere to go: no repository is configured`
          : `source ${JSON.stringify(name)} must name its repositories, since there are ${repositories.size} and defaults.repositories names none`,
      )
  }
  for (const name of namesIn(written.assertions) ?? []) {
    if (sources !== undefined && !sources.has(name))
      add(['assertions', name], 'key', `there is no source ${JSON.stringify(name)}${suggestion(name, sources)}`)
    checkAssertionNames(['assertions', name])
  }
  return problems

  function checkAssertionNames(path: ConfigurationPath): void {
    const seen = new Set<string>()
    for (const [index, assertion] of asList(valueAt(draft.value, path)).entries()) {
      const name = asRecord(assertion)?.name
      if (typeof name !== 'string') continue
      if (seen.has(name))
        add([...path, index, 'name'], 'value', `the name ${JSON.stringify(name)} is here a second time`)
      seen.add(name)
    }
  }
}

/** Keys of a part that may be absent; undefined when it is of a wrong kind, which is reported elsewhere. */
function namesIn(part: unknown): ReadonlySet<string> | undefined {
  if (part === undefined) return new Set()
  const record = asRecord(part)
  return record === undefined ? undefined : new Set(Object.keys(record))
}
