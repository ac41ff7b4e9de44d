import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Collector } from '../../../test/support/stage.ts'
import type { Terminal } from '../terminal.ts'
import { jsonLine } from './json.ts'
import { Output } from './output.ts'
import { renderTable } from './table.ts'
import { displayWidth, quoteUnprintable, truncate } from './width.ts'

const screenFacts: Terminal = {
  inputIsTerminal: true,
  outputIsTerminal: true,
  canUpdateStatus: true,
  columns: 20,
  isBackground: () => false,
}
const pipeFacts: Terminal = { ...screenFacts, inputIsTerminal: false, outputIsTerminal: false, canUpdateStatus: false }

function open(terminal: Terminal): { output: Output; stdout: Collector; stderr: Collector } {
  const stdout = new Collector()
  const stderr = new Collector()
  return { output: new Output({ stdout, stderr, terminal, json: false, verbosity: 1 }), stdout, stderr }
}

/** What a terminal shows after these bytes: enough of a terminal for the control sequences we use. */
function screen(text: string): string[] {
  const lines: string[] = ['']
  let row = 0
  let column = 0
  for (const [part] of text.matchAll(/\x1b\[2K|\x1b\[1A|\r|\n|[^\x1b\r\n]+/g)) {
    if (part === '\x1b[2K') lines[row] = ''
    else if (part === '\x1b[1A') row--
    else if (part === '\r') column = 0
    else if (part === '\n') {
      row++
      column = 0
      lines[row] ??= ''
    } else {
      lines[row] = lines[row]!.slice(0, column) + part + lines[row]!.slice(column + part.length)
      column += part.length
    }
  }
  return lines
}

describe('status lines on a terminal', () => {
  test('stay below the messages, are drawn over and removed', async () => {
    const { output, stdout } = open(screenFacts)
    output.status(['50%', 'a.txt', 'b.txt'])
    expect(screen(stdout.text)).toEqual(['50%', 'a.txt', 'b.txt'])
    output.print('a message')
    expect(screen(stdout.text)).toEqual(['a message', '50%', 'a.txt', 'b.txt'])
    output.status(['60%', 'c.txt'])
    expect(screen(stdout.text)).toEqual(['a message', '60%', 'c.txt', ''])
    await output.flush()
    expect(screen(stdout.text)).toEqual(['a message', '', '', ''])
  })

  test('however messages and status alternate, all messages are there in order with the status below', () => {
    const step = fc.oneof(
      fc.record({ print: fc.stringMatching(/^[a-z]{1,9}$/) }),
      fc.record({ status: fc.array(fc.stringMatching(/^[A-Z]{1,9}$/), { maxLength: 3 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const { output, stdout } = open(screenFacts)
        const messages: string[] = []
        let status: readonly string[] = []
        for (const one of steps) {
          if ('print' in one) {
            output.print(one.print)
            messages.push(one.print)
          } else {
            status = one.status
            output.status(status)
          }
        }
        expect(screen(stdout.text).filter((line) => line !== '')).toEqual([...messages, ...status])
      }),
    )
  })

  test('are cut to the width and cannot inject control sequences', () => {
    const { output, stdout } = open(screenFacts)
    output.status(['a very long line that does not fit', 'evil\x1b[2Jname'])
    expect(screen(stdout.text)).toEqual(['a very long line t', '"evil\\u001b[2Jname'])
  })

  test('are not drawn by a process in the background', () => {
    const { output, stdout } = open({ ...screenFacts, isBackground: () => true })
    output.status(['50%'])
    expect(stdout.text).toBe('')
  })
})

describe('status lines in a pipe', () => {
  test('are printed when they change, without control sequences', async () => {
    const { output, stdout } = open(pipeFacts)
    for (const line of ['1%', '1%', '2%']) output.status([line])
    output.status([])
    output.print('done')
    await output.write(Buffer.from('raw\n'))
    await output.flush()
    expect(stdout.text).toBe('1%\n2%\ndone\nraw\n')
  })
})

test('remarks are for terminals only', () => {
  for (const [terminal, text] of [
    [screenFacts, 'hello\n'],
    [pipeFacts, ''],
  ] as const) {
    const { output, stdout } = open(terminal)
    output.remark('hello')
    expect(stdout.text).toBe(text)
  }
})

describe('JSON lines', () => {
  test('carry 64-bit integers exactly and leave out what is undefined', () => {
    expect(jsonLine({ inode: 18_446_744_073_709_551_615n, size: 1, gone: undefined, list: [1n] })).toBe(
      '{"inode":18446744073709551615,"size":1,"list":[1]}\n',
    )
  })
})

describe('tables', () => {
  test('look as restic prints them', () => {
    const table = renderTable({
      headers: ['ID', 'Host      ', 'Paths'],
      rows: [
        ['2ab627a6', 'web', '/a\n/bb'],
        ['40dc1520', '日本', '/c'],
      ],
      footer: ['2 snapshots'],
    })
    expect(table).toBe(
      [
        'ID        Host        Paths',
        '---------------------------',
        '2ab627a6  web         /a',
        '                      /bb',
        '40dc1520  日本        /c',
        '---------------------------',
        '2 snapshots',
        '',
      ].join('\n'),
    )
  })

  test('can have room between rows', () => {
    expect(renderTable({ headers: ['A'], rows: [['1\n2'], ['3']], spaced: true })).toBe('A\n-\n1\n2\n\n3\n-\n')
  })
})

describe('the width of text', () => {
  test.each([
    ['abc', 3],
    ['é', 1],
    ['日本', 4],
    ['🙂', 2],
    ['', 0],
  ])('%s takes %i cells', (text, cells) => {
    expect(displayWidth(text)).toBe(cells)
  })

  test('truncation never exceeds it and keeps what fits', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(12), (text, cells) => {
        const cut = truncate(text, cells)
        expect(text.startsWith(cut)).toBe(true)
        expect(displayWidth(cut)).toBeLessThanOrEqual(cells)
        if (displayWidth(text) <= cells) expect(cut).toBe(text)
      }),
    )
    expect(truncate('日本語', 5)).toBe('日本')
    expect(truncate('abc', -2)).toBe('')
  })

  test('unprintable text is quoted', () => {
    expect(quoteUnprintable('plain ünïcode 日本')).toBe('plain ünïcode 日本')
    expect(quoteUnprintable('a\nb')).toBe('"a\\nb"')
    expect(quoteUnprintable('\x9b0m')).toBe('"\\u009b0m"')
    expect(quoteUnprintable('right\u202eleft')).toBe('"right\\u202eleft"')
    expect(quoteUnprintable('bad\ufffd')).toBe('"bad\\ufffd"')
  })
})
