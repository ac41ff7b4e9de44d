import { combine } from 'shamir-secret-sharing'
import { fromUtf8 } from '../../../lib/bytes.ts'
import { isArmored, openAge, unarmorAge } from '../age/age-file.ts'
import {
  factLines,
  factsCode,
  type KitFacts,
  kitInvalid,
  parseFacts,
  SECRET_BYTES,
  SHARE_BYTES,
  shareDigest,
} from './kit.ts'
import { BEGIN, END, rowPlace } from './kit-pages.ts'
import { fromRows } from './share-text.ts'

/** A page as it was read, nothing of it believed yet. */
export interface ReadPage {
  /** The file it comes from. */
  readonly source: string
  readonly facts: KitFacts
  readonly code: string
  /** Of a kit in shares. */
  readonly share?: { readonly page: number; readonly bytes: Uint8Array }
  /** Of a kit with a passphrase: the armored age file. */
  readonly sealed?: string
}

/** A kit that was opened, and whose facts are authentic. */
export interface OpenedKit {
  readonly facts: KitFacts
  readonly password: string
  /** Pages that are not as they were made, with what is wrong with them; what is right on all pages was enough. */
  readonly rejected: readonly { readonly source: string; readonly what: string }[]
}

const MAX_PAGE_CHARACTERS = 256 * 1024
const MAX_ATTEMPTS = 2000
const ARMOR = /-----BEGIN AGE ENCRYPTED FILE-----[\s\S]*?-----END AGE ENCRYPTED FILE-----/

/** The pages within a text, of which there must be one or more. @throws HoldfastError HF_KIT_INVALID naming the line or row */
export function readPages(text: string, source: string): readonly ReadPage[] {
  if (text.length > MAX_PAGE_CHARACTERS)
    throw kitInvalid(`${source} is too long for a recovery kit`, 'name the right file')
  const pages: ReadPage[] = []
  for (const part of text.replaceAll('\r', '').split(BEGIN).slice(1)) {
    const end = part.indexOf(END)
    if (end < 0) throw kitInvalid(`${source}: a page is not whole: "${END}" is missing`, 'save the whole page')
    const lines = part
      .slice(0, end)
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
    pages.push(readPage(lines, ARMOR.exec(part.slice(end))?.[0], source))
  }
  if (pages.length === 0)
    throw kitInvalid(`${source} is no page of a recovery kit`, `a page has a line "${BEGIN}"; name the right files`)
  return pages
}

function readPage(lines: readonly string[], sealed: string | undefined, source: string): ReadPage {
  const facts = parseFacts(lines, source)
  const code = lines.find((line) => /^code: [0-9a-f]{32}$/.test(line))?.slice(6)
  if (code === undefined)
    throw kitInvalid(`${source}: the line "code: ..." is missing or damaged`, 'type or scan that line again')
  if (facts.shares === undefined) {
    if (sealed === undefined || !isArmored(sealed))
      throw kitInvalid(`${source}: the part for age is missing`, 'save the whole page')
    return { source, facts, code, sealed }
  }
  const page = Number(lines.find((line) => /^page: \d{1,2}$/.test(line))?.slice(6))
  if (!(page >= 1 && page <= facts.shares.digests.length))
    throw kitInvalid(`${source}: the line "page: ..." is missing or damaged`, 'type or scan that line again')
  const rows = lines.flatMap((line) => /^row \d: (.*)$/.exec(line)?.[1] ?? [])
  const bytes = fromRows(rows, (row) => rowPlace(facts.kit, page, row), SHARE_BYTES)
  if ('wrongRow' in bytes)
    throw kitInvalid(`${source}: row ${bytes.wrongRow} of page ${page} is damaged`, 'compare that row with the paper')
  return { source, facts, code, share: { page, bytes } }
}

/**
 * Opens a kit by its passphrase, or by enough of its pages. `passphrase` is asked only for a kit that has one.
 * @throws HoldfastError HF_KIT_INVALID for pages of different kits, too few of them, a wrong passphrase, or what was changed, by name
 */
export async function openKit(pages: readonly ReadPage[], passphrase: () => Promise<string>): Promise<OpenedKit> {
  const [first] = pages
  const stranger = pages.find(({ facts }) => facts.kit !== first!.facts.kit)
  if (stranger !== undefined)
    throw kitInvalid(
      `${stranger.source} is of kit ${stranger.facts.kit}, ${first!.source} of kit ${first!.facts.kit}`,
      'bring pages of one kit',
    )
  return first!.sealed === undefined ? await openShares(pages) : await openSealed(first!, first!.sealed, passphrase)
}

async function openSealed(page: ReadPage, sealed: string, passphrase: () => Promise<string>): Promise<OpenedKit> {
  const secretText = await passphrase()
  let password: string
  try {
    password = fromUtf8(await openAge(await unarmorAge(sealed), { passphrase: secretText }))
  } catch (cause) {
    throw kitInvalid(
      `${page.source} does not open: the passphrase is wrong, or the page is damaged`,
      'try again',
      cause,
    )
  }
  if (!isAuthentic(page, Buffer.from(password, 'base64'))) throw changed(page)
  return { facts: page.facts, password, rejected: [] }
}

async function openShares(pages: readonly ReadPage[]): Promise<OpenedKit> {
  const byPage = new Map<number, ReadPage[]>()
  for (const one of pages) byPage.set(one.share!.page, [...(byPage.get(one.share!.page) ?? []), one])
  const { needed } = pages[0]!.facts.shares!
  if (byPage.size < needed) throw tooFew(pages[0]!.facts, [...byPage.keys()])
  let attempts = 0
  for (const chosen of choices(pages, needed)) {
    if (attempts++ >= MAX_ATTEMPTS) break
    // Fails for shares that cannot be of one kit.
    const secret = await combine(chosen.map(({ share }) => share!.bytes)).catch(() => undefined)
    if (secret?.length !== SECRET_BYTES) continue
    const honest = chosen.find((page) => isAuthentic(page, secret))
    if (honest !== undefined)
      return {
        facts: honest.facts,
        password: Buffer.from(secret).toString('base64'),
        rejected: pages.flatMap((page) => {
          const what = complaint(page, honest.facts, secret)
          return what === undefined ? [] : [{ source: page.source, what }]
        }),
      }
  }
  throw notTogether(pages, needed)
}

/** All sets of `count` pages with different numbers. */
function* choices(
  pages: readonly ReadPage[],
  count: number,
  from = 0,
  chosen: readonly ReadPage[] = [],
): Generator<readonly ReadPage[]> {
  if (chosen.length === count) {
    yield chosen
    return
  }
  for (let at = from; at <= pages.length - (count - chosen.length); at++) {
    const page = pages[at]!
    if (!chosen.some(({ share }) => share!.page === page.share!.page))
      yield* choices(pages, count, at + 1, [...chosen, page])
  }
}

const isAuthentic = ({ facts, code }: ReadPage, secret: Uint8Array): boolean =>
  factsCode(secret, factLines(facts)) === code

/** What is wrong with a page, now that the kit is open. */
function complaint(page: ReadPage, facts: KitFacts, secret: Uint8Array): string | undefined {
  const { bytes, page: number } = page.share!
  if (shareDigest(facts.kit, number, bytes) !== facts.shares!.digests[number - 1])
    return `page ${number} holds a share that is not of this kit`
  return isAuthentic(page, secret) ? undefined : `what page ${number} says about the repository was changed`
}

const changed = ({ source }: ReadPage): Error =>
  kitInvalid(
    `${source}: what it says about the repository was changed after it was made`,
    'use another copy of the page',
  )

function tooFew({ kit, shares }: KitFacts, have: number[]): Error {
  const missing = shares!.digests.map((_, index) => index + 1).filter((page) => !have.includes(page))
  return kitInvalid(
    `${have.length} of ${shares!.needed} needed pages: ${have.sort((a, b) => a - b).join(', ')}`,
    `bring ${shares!.needed - have.length} more of the pages ${missing.join(', ')} of kit ${kit}`,
  )
}

/** Every page is held against the list that most pages have, since nothing is proved. */
function notTogether(pages: readonly ReadPage[], needed: number): Error {
  const disputed = pages.filter(({ facts, share }) => {
    const digest = shareDigest(facts.kit, share!.page, share!.bytes)
    const agreeing = pages.filter((other) => other.facts.shares!.digests[share!.page - 1] === digest).length
    return agreeing * 2 <= pages.length
  })
  const names = disputed.map(({ source, share }) => `page ${share!.page} (${source})`)
  return names.length > 0
    ? kitInvalid(
        `${names.join(', ')} ${names.length === 1 ? 'holds a share that is' : 'hold shares that are'} not what the other pages expect`,
        `bring ${needed} pages that were not changed`,
      )
    : kitInvalid(
        'the pages do not open the kit together: what they say about the repository was changed',
        'use other copies of the pages',
      )
}
