import { type CompressionMode, compressionModes } from '../../engine/repository/compression.ts'
import { parseFindTime } from '../../engine/restore/find-time.ts'
import { parseLocalTime, type Timestamp } from '../../lib/go-time.ts'
import type { ValueKind } from './option.ts'

/** Any text; `placeholder` names what it is. */
export const textKind = (placeholder: string): ValueKind<string> => ({
  placeholder,
  expects: `a ${placeholder}`,
  parse: (text) => text,
})

export const fileKind: ValueKind<string> = {
  placeholder: 'file',
  expects: 'a file name',
  completes: 'file',
  parse: (text) => text,
}

export const directoryKind: ValueKind<string> = {
  placeholder: 'directory',
  expects: 'a folder',
  completes: 'directory',
  parse: (text) => text,
}

/** A folder, or a place of another storage as `scheme:place`. */
export const repositoryKind: ValueKind<string> = {
  ...directoryKind,
  placeholder: 'repository',
  expects: 'a folder, or scheme:place',
  completes: 'repository',
}

/** Several file names in one value. */
export const filesKind: ValueKind<readonly string[]> = { ...fileKind, parse: splitCommas }

/** One of a few words. */
export function choiceKind<T extends string>(placeholder: string, choices: readonly T[]): ValueKind<T> {
  return {
    placeholder,
    expects: `one of ${choices.join(', ')}`,
    completes: choices,
    parse(text) {
      const found = choices.find((choice) => choice === text)
      if (found === undefined) throw new Error('is not one of the possible values')
      return found
    },
  }
}

export const compressionKind: ValueKind<CompressionMode> = choiceKind('mode', compressionModes)

/** A whole number from `min` to `max`. */
export const integerKind = (placeholder: string, min = 0, max = 0x7fff_ffff): ValueKind<number> => ({
  placeholder,
  expects: max === 0x7fff_ffff ? `a whole number from ${min}` : `a whole number from ${min} to ${max}`,
  parse(text) {
    if (!/^[+-]?\d+$/.test(text)) throw new Error('is not a whole number')
    const value = Number(text)
    if (value < min || value > max) throw new Error('is out of range')
    return value
  },
})

const MIB = 1024 * 1024

/** Whole MiB, as restic takes the pack size, in bytes. 0 means the default, as in restic. */
export const packSizeKind: ValueKind<number | undefined> = {
  placeholder: 'size',
  expects: 'a whole number of MiB from 4 to 128',
  parse(text) {
    const mebibytes = integerKind('size').parse(text)
    if (mebibytes === 0) return undefined
    if (mebibytes < 4 || mebibytes > 128) throw new Error('is out of range')
    return mebibytes * MIB
  },
}

/** Whole KiB per second, in bytes per second; 0 means no limit, as in restic. */
export const rateKind: ValueKind<number | undefined> = {
  placeholder: 'rate',
  expects: 'a whole number of KiB per second',
  parse: (text) => integerKind('rate').parse(text) * 1024 || undefined,
}

export interface KeyValue {
  readonly key: string
  readonly value: string
}

/** `s3.connections=10,local.connections=2`; names of settings are not case-sensitive. */
export const keyValuesKind: ValueKind<readonly KeyValue[]> = {
  placeholder: 'key=value',
  expects: 'a setting as key=value',
  parse: (text) =>
    splitCommas(text).map((pair) => {
      const cut = pair.indexOf('=')
      const key = (cut < 0 ? pair : pair.slice(0, cut)).trim().toLowerCase()
      if (key === '') throw new Error('has no key before the equals sign')
      return { key, value: cut < 0 ? '' : pair.slice(cut + 1).trim() }
    }),
}

/** `a,b`: tags that belong together. */
export const tagsKind: ValueKind<readonly string[]> = {
  placeholder: 'tag[,tag,...]',
  expects: 'tags separated by commas',
  parse: (text) => text.split(',').map((tag) => tag.trim()),
}

/** What snapshots are grouped by. */
export interface Grouping {
  readonly host: boolean
  readonly paths: boolean
  readonly tags: boolean
}

export const groupingKind: ValueKind<Grouping> = {
  placeholder: 'group',
  expects: 'host, paths and tags separated by commas, or "" for no grouping',
  completes: ['host', 'paths', 'tags', 'host,paths', 'host,tags', 'paths,tags', 'host,paths,tags'],
  parse(text) {
    const grouping = { host: false, paths: false, tags: false }
    for (const word of text.split(',')) {
      if (word === 'host' || word === 'hosts') grouping.host = true
      else if (word === 'path' || word === 'paths') grouping.paths = true
      else if (word === 'tag' || word === 'tags') grouping.tags = true
      else if (word !== '') throw new Error(`has the unknown word ${JSON.stringify(word)}`)
    }
    return grouping
  },
}

/** How many snapshots a policy keeps. */
export type KeepCount = number | 'unlimited'

export const keepCountKind: ValueKind<KeepCount> = {
  placeholder: 'n',
  expects: 'a whole number or "unlimited"',
  completes: ['unlimited'],
  parse: (text) => (text === 'unlimited' ? 'unlimited' : integerKind('n').parse(text)),
}

/** `2012-11-01 22:08:41` in the zone of this machine. */
export const timeKind: ValueKind<Timestamp> = {
  placeholder: 'time',
  expects: 'a local time like "2012-11-01 22:08:41"',
  parse(text) {
    const time = parseLocalTime(text)
    if (time === undefined) throw new Error('is not a time')
    return time
  },
}

/** A folder is left out when it holds `name`, starting with `header` if there is one. */
export interface MarkerFile {
  readonly name: string
  readonly header: string | undefined
}

export const markerFileKind: ValueKind<MarkerFile> = {
  placeholder: 'filename[:header]',
  expects: 'a file name, or a file name and how the file begins as name:header',
  parse(text) {
    const cut = text.indexOf(':')
    const name = cut < 0 ? text : text.slice(0, cut)
    if (name === '') throw new Error('has no file name')
    return { name, header: cut < 0 ? undefined : text.slice(cut + 1) }
  },
}

/**
 * The fields of one line of comma-separated values, as pflag's string slices read it: a field may be quoted, `""` in quotes is a quote.
 * An empty text has no field.
 */
export function splitCommas(text: string): readonly string[] {
  if (text === '') return []
  const fields: string[] = []
  let at = 0
  for (;;) {
    if (text[at] === '"') {
      const quoted = /^"((?:[^"]|"")*)"(?=,|$)/.exec(text.slice(at))
      if (quoted === null) throw new Error('has a quote that is not closed, or text after it')
      fields.push(quoted[1]!.replaceAll('""', '"'))
      at += quoted[0].length
    } else {
      const end = text.indexOf(',', at)
      const field = text.slice(at, end < 0 ? text.length : end)
      if (field.includes('"')) throw new Error('has a quote inside a field that is not quoted')
      fields.push(field)
      at += field.length
    }
    if (at >= text.length) return fields
    at++
  }
}

/** The times `find` takes: a date alone or with a time, ISO or German order, with or without a zone offset. */
export const looseTimeKind: ValueKind<Timestamp> = {
  placeholder: 'string',
  expects: 'a time like "2012-11-01", "2012-11-01 22:08", "01.11.2012" or "2012-11-01 22:08:41 +0100"',
  parse: parseFindTime,
}
