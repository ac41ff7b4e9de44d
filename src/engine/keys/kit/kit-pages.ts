import { split } from 'shamir-secret-sharing'
import { formatTime, type Timestamp } from '../../../lib/go-time.ts'
import type { Id } from '../../../lib/id.ts'
import { armorAge, sealAge } from '../age/age-file.ts'
import { instructions } from './instructions.ts'
import { factLines, factsCode, type KitFacts, shareDigest } from './kit.ts'
import { toRows } from './share-text.ts'

export const BEGIN = '-----BEGIN HOLDFAST RECOVERY KIT-----'
export const END = '-----END HOLDFAST RECOVERY KIT-----'

export interface KitContent {
  readonly kit: string
  readonly made: Timestamp
  readonly repository: Id
  readonly locations: readonly string[]
  readonly keyId: Id
}

/** A page to be printed or kept as a file. */
export interface KitPage {
  /** `kit-0123456789abcdef.txt`, or with `-page-1-of-5`. */
  readonly fileName: string
  readonly text: string
}

/** The page of a kit that a passphrase opens; the stock `age` opens it, too. */
export async function passphrasePage(content: KitContent, secret: Uint8Array, passphrase: string): Promise<KitPage> {
  const facts = factsOf(content)
  const password = Buffer.from(secret).toString('base64')
  const sealed = await armorAge(await sealAge(Buffer.from(password), { passphrase }))
  return {
    fileName: `kit-${content.kit}.txt`,
    text: [...instructions(facts), ...block(facts, secret, []), '', sealed.trimEnd(), ''].join('\n'),
  }
}

/** The pages of a kit that any `needed` of them open together. Fewer tell nothing about the password. */
export async function sharePages(
  content: KitContent,
  secret: Uint8Array,
  { total, needed }: { readonly total: number; readonly needed: number },
): Promise<readonly KitPage[]> {
  const shares = await split(secret, total, needed)
  const digests = shares.map((share, index) => shareDigest(content.kit, index + 1, share))
  const facts: KitFacts = { ...factsOf(content), shares: { needed, digests } }
  return shares.map((share, index) => {
    const page = index + 1
    const rows = toRows(share, (row) => rowPlace(content.kit, page, row))
    const own = [`page: ${page}`, ...rows.map((row, at) => `row ${at + 1}: ${row}`)]
    return {
      fileName: `kit-${content.kit}-page-${page}-of-${total}.txt`,
      text: [...instructions(facts, page), ...block(facts, secret, own), ''].join('\n'),
    }
  })
}

/** What the check of a row covers beside the row. */
export const rowPlace = (kit: string, page: number, row: number): string => `${kit} ${page} ${row}`

const factsOf = ({ made, ...rest }: KitContent): KitFacts => ({ ...rest, made: formatTime(made) })

function block(facts: KitFacts, secret: Uint8Array, own: readonly string[]): readonly string[] {
  const lines = factLines(facts)
  return [BEGIN, ...lines, `code: ${factsCode(secret, lines)}`, ...own, END]
}
