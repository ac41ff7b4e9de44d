import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { HoldfastError, systemErrorCode } from '../lib/errors.ts'
import { type Assertion, assertion } from './assertion.ts'
import { invalidConfiguration } from './draft.ts'
import { problemsOf } from './issues.ts'
import { readYamlDraft } from './yaml-draft.ts'

const assertionFile = z.record(z.string(), z.array(assertion))

const KEYS = ['name', 'expect', 'sql', 'aggregate', 'command', 'file', 'database', 'collection']

/**
 * Reads a file of assertions by source, as below `assertions` of holdfast.yaml.
 * @throws HoldfastError HF_CONFIG_INVALID with all problems and where they are; HF_CONFIG_NOT_FOUND
 */
export async function loadAssertions(file: string): Promise<ReadonlyMap<string, readonly Assertion[]>> {
  const hint = 'write it as under "assertions" of holdfast.yaml: the name of a source, then a list'
  const { draft, problems } = readYamlDraft(await readText(file), file)
  if (draft === undefined || problems.length > 0) throw invalidConfiguration(problems, hint)
  const checked = assertionFile.safeParse(draft.value)
  if (!checked.success)
    throw invalidConfiguration(
      problemsOf(checked.error.issues, draft, [], () => KEYS),
      hint,
    )
  return new Map(Object.entries(checked.data))
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new HoldfastError('HF_CONFIG_NOT_FOUND', `${file} cannot be read: ${systemErrorCode(cause)}`, { cause })
  }
}
