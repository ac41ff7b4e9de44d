import { createRandom, type Random } from './random.ts'

/** Words in one piece of memory, so that writers of text copy bytes and allocate nothing. */
export interface WordList {
  readonly bytes: Uint8Array
  /** Word i lies at bytes[starts[i]] up to bytes[starts[i + 1]]. */
  readonly starts: Uint32Array
  /** 65,536 word numbers in which word i is as frequent as it should be in text (Zipf's law). */
  readonly frequent: Uint16Array
  readonly count: number
}

const common = (
  'the of and to in is that for it as was with be by on not this are or from at which but have an had they you were ' +
  'all one there been if more when will would who so no out up into than them can only other new some could time these ' +
  'two may then do first any my now such like our over man me even most made after also did many before must through ' +
  'back years where much your way well down should because each just those people how too little state good very make ' +
  'world still own see men work long get here between both life being under never day same another know while last ' +
  'might us great old year off come since against go came right used take three'
).split(' ')

const technical = (
  'error request response server client value result index buffer stream config option file path name type state data ' +
  'user order item list queue cache token session event message handler connection timeout retry status version schema ' +
  'table column record entry key hash node tree block page limit offset count size length start end parent child module ' +
  'package build test bench report metric trace worker thread signal channel socket packet header body field format'
).split(' ')

const onsets = [
  'b',
  'br',
  'c',
  'ch',
  'd',
  'dr',
  'g',
  'gr',
  'h',
  'j',
  'l',
  'm',
  'n',
  'p',
  'pl',
  'r',
  's',
  'st',
  't',
  'tr',
  'v',
  'w',
]
const vowels = ['a', 'e', 'i', 'o', 'u', 'ea', 'ou', 'ie']
const codas = ['', '', 'n', 'r', 's', 't', 'l', 'm', 'nd', 'k', 'sh', 'ng']

let wordList: WordList | undefined

/** About 4,000 words: common English, the trade's own, and made-up ones for the tail. */
export function words(): WordList {
  wordList ??= createWordList()
  return wordList
}

function createWordList(): WordList {
  const random = createRandom(0x776f7264)
  const all = new Set([...common, ...technical])
  while (all.size < 4000) all.add(madeUpWord(random))
  const texts = [...all]
  const starts = new Uint32Array(texts.length + 1)
  texts.forEach((text, i) => {
    starts[i + 1] = starts[i]! + text.length
  })
  const total = texts.reduce((sum, _, i) => sum + 1 / (i + 3), 0)
  const frequent = new Uint16Array(0x10000)
  let filled = 0
  let reached = 0
  texts.forEach((_, i) => {
    reached += 1 / (i + 3) / total
    const until = i === texts.length - 1 ? frequent.length : Math.floor(reached * frequent.length)
    frequent.fill(i, filled, until)
    filled = until
  })
  return { bytes: Buffer.from(texts.join(''), 'latin1'), starts, frequent, count: texts.length }
}

function madeUpWord(random: Random): string {
  let word = ''
  for (let syllables = 1 + random.below(3); syllables > 0; syllables--) {
    word +=
      onsets[random.below(onsets.length)]! + vowels[random.below(vowels.length)]! + codas[random.below(codas.length)]!
  }
  return word
}

/** A name for a file, folder or package: one or two words joined by `separator`. */
export function inventName(random: Random, separator = '-'): string {
  const one = random.below(3) === 0 ? madeUpWord(random) : technical[random.below(technical.length)]!
  return random.below(2) === 0 ? one + separator + madeUpWord(random) : one
}
