import { z } from 'zod'
import { type SecretReference, secretReference } from './secret.ts'

/** A key that opens a repository in place of its password: exactly one of `kms`, `age`, and `passphrase` by itself. */
export interface KeyShape {
  /** The ARN of a key or alias of AWS KMS. */
  readonly kms?: string | undefined
  /** Identities, or recipients for whom is only sealed, as age-keygen writes them. */
  readonly age?: SecretReference | undefined
  /** What the password is sealed with, or what the identities of `age` are. */
  readonly passphrase?: SecretReference | undefined
}

/** How old a key may become when nothing is said. */
export const DEFAULT_MAX_KEY_AGE_DAYS = 90

const keyArn = /^arn:[a-z0-9-]+:kms:[a-z0-9-]+:\d{12}:(key|alias)\/[\w/-]+$/

const key: z.ZodType<KeyShape> = z
  .strictObject({
    kms: z
      .string()
      .regex(keyArn, 'must be the ARN of a key or alias: arn:aws:kms:REGION:ACCOUNT:key/ID')
      .optional()
      .describe('ARN of a key of AWS KMS.'),
    age: secretReference.optional().describe('env:NAME or file:PATH of age identities, or of recipients.'),
    passphrase: secretReference
      .optional()
      .describe('env:NAME or file:PATH of a passphrase, by itself or for the identities.'),
  })
  .superRefine(({ kms, age, passphrase }, context) => {
    const isOne =
      kms !== undefined ? age === undefined && passphrase === undefined : age !== undefined || passphrase !== undefined
    if (!isOne) context.addIssue({ code: 'custom', message: 'must have one of kms, age and passphrase' })
  })

const ageDays: z.ZodType<number> = z.string().transform((text, context) => {
  const found = /^([1-9]\d{0,4})d$/.exec(text)
  if (found !== null) return Number(found[1])
  context.addIssue({ code: 'custom', message: 'must be a number of days, like 90d', input: text })
  return z.NEVER
})

/** Keys of a repository for what opens it beside its password. */
export const accessKeys: {
  readonly keys: z.ZodType<readonly KeyShape[]>
  readonly maxKeyAge: z.ZodType<number | undefined>
} = {
  keys: z
    .array(key)
    .min(1)
    .max(16)
    .default([])
    .describe('Keys for which the password is sealed in the repository; any one of them opens it.'),
  maxKeyAge: ageDays
    .optional()
    .describe(`How old a key may become before it is to be rotated; ${DEFAULT_MAX_KEY_AGE_DAYS}d by default.`),
}
