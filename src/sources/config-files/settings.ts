import { z } from 'zod'
import { type FilesSettings, filesKeys, pathPattern } from '../files/settings.ts'

/** Keys of a source of type `config`. */
export interface ConfigSettings extends FilesSettings {
  /** Patterns of files that nothing may name: not the progress, no log, no error. */
  readonly secrets: readonly string[]
}

/** What usually holds passwords and keys. */
const usualSecrets: readonly string[] = [
  '.env',
  '.env.*',
  '*.key',
  '*.pem',
  '*.p12',
  '*.pfx',
  '*.jks',
  '.htpasswd',
  '.pgpass',
  'id_rsa',
  'id_ecdsa',
  'id_ed25519',
]

const secrets: z.ZodType<readonly string[]> = z
  .array(pathPattern)
  .default([...usualSecrets])
  .describe('Patterns of files whose names are not to be told.')

export const configSettings: z.ZodType<ConfigSettings> = z.strictObject({ ...filesKeys, secrets })
