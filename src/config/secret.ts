import { z } from 'zod'

/** Where a secret is, never the secret itself: `env:NAME` or `file:PATH`. */
export interface SecretReference {
  readonly kind: 'env' | 'file'
  /** Name of the variable, or the path. */
  readonly name: string
}

/** A reference as it is written in holdfast.yaml. */
export const secretReference: z.ZodType<SecretReference, string> = z.string().transform((text, context) => {
  const found = /^(env|file):(.+)$/s.exec(text)
  if (found !== null) return { kind: found[1] as SecretReference['kind'], name: found[2]! }
  context.addIssue({ code: 'custom', message: 'must be a reference to a secret: env:NAME or file:PATH' })
  return z.NEVER
})
