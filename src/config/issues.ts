import type { z } from 'zod'
import { type Draft, nearestPlace, type Part, type Problem } from './draft.ts'
import { suggestion } from './names.ts'
import { type ConfigurationPath, formatPath, valueAt } from './path.ts'

type Issue = z.core.$ZodIssue

/**
 * What a schema found, as problems for people. No message holds a value of the draft, since it might be a secret in the wrong place.
 * @param base where the checked value lies in the draft
 * @param keysAt the known keys at a path of the draft
 */
export function problemsOf(
  issues: readonly Issue[],
  draft: Draft,
  base: ConfigurationPath,
  keysAt: (path: ConfigurationPath) => Iterable<string>,
): readonly Problem[] {
  const problems: Problem[] = []
  const add = (path: ConfigurationPath, part: Part, what: string): void => {
    problems.push({ place: nearestPlace(draft, path, part), what })
  }
  const explain = (issue: Issue, above: ConfigurationPath): void => {
    const path = [...above, ...(issue.path as ConfigurationPath)]
    const name = path.length === 0 ? 'the configuration' : formatPath(path)
    const value = valueAt(draft.value, path)
    if (issue.code === 'unrecognized_keys') {
      const where = path.length === 0 ? '' : ` in ${name}`
      for (const key of issue.keys)
        add([...path, key], 'key', `unknown key ${JSON.stringify(key)}${where}${suggestion(key, keysAt(path))}`)
    } else if (issue.code === 'invalid_key') {
      add(path, 'key', `${JSON.stringify(path.at(-1))} ${issue.issues[0]?.message ?? issue.message}`)
    } else if (value === undefined && hasNoWordsOfItsOwn(issue)) {
      add(path.slice(0, -1), 'key', `${name} is missing`)
    } else if (issue.code === 'invalid_union') {
      const closest = closestAlternative(issue.errors)
      if (closest === undefined)
        add(path, 'value', `${name} ${hasNoWordsOfItsOwn(issue) ? 'is of a wrong kind' : issue.message}`)
      else for (const inner of closest) explain(inner, path)
    } else {
      add(path, 'value', `${name} ${whatIsWrong(issue, value)}`)
    }
  }
  for (const issue of issues) explain(issue, base)
  return problems
}

/** The issues of the alternative that was probably meant: the only one of the right kind, or the one with the fewest issues. */
function closestAlternative(alternatives: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const ofRightKind = alternatives.filter(([first]) => !(first?.code === 'invalid_type' && first.path.length === 0))
  return ofRightKind.toSorted((a, b) => a.length - b.length)[0]
}

/** Whether the message is zod's and not of the schema's author. */
const hasNoWordsOfItsOwn = (issue: Issue): boolean => /^(Invalid|Too (small|big))\b/.test(issue.message)

function whatIsWrong(issue: Issue, value: unknown): string {
  if (!hasNoWordsOfItsOwn(issue)) return issue.message
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${nounOf(issue.expected)}, not ${kindOf(value)}`
    case 'invalid_value': {
      const values = issue.values.map(String)
      const must = values.length === 1 ? `must be ${values[0]}` : `must be one of ${values.join(', ')}`
      return typeof value === 'string' ? must + suggestion(value, values) : must
    }
    case 'too_small':
      if (issue.origin === 'string' || issue.origin === 'array')
        return issue.minimum === 1
          ? 'must not be empty'
          : `must have at least ${issue.minimum} ${partsOf(issue.origin)}`
      return `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`
    case 'too_big':
      if (issue.origin === 'string' || issue.origin === 'array')
        return `must have at most ${issue.maximum} ${partsOf(issue.origin)}`
      return `must be ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}`
    default:
      return 'does not have the form it must have'
  }
}

const partsOf = (origin: string): string => (origin === 'string' ? 'characters' : 'entries')

const nouns: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of keys',
  record: 'a map of keys',
  null: 'nothing',
}

const nounOf = (kind: string): string => nouns[kind] ?? kind

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  return nounOf(typeof value)
}
