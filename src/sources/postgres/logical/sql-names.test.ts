import { describe, expect, test } from 'vitest'
import { moveNames } from './sql-names.ts'

describe('names in statements', () => {
  const schemaOf = (schema: string, name: string): string | undefined =>
    schema === 'public' && ['orders', 'orders_id_seq', 'Odd "t"'].includes(name) ? 'side' : undefined

  test.each([
    ['CREATE TABLE public.orders (id int);', 'CREATE TABLE "side".orders (id int);'],
    ['ALTER TABLE ONLY public."Odd ""t""" ADD', 'ALTER TABLE ONLY "side"."Odd ""t""" ADD'],
    [`nextval('public.orders_id_seq'::regclass)`, `nextval('"side".orders_id_seq'::regclass)`],
    [`setval('public."Odd ""t"""', 5, true)`, `setval('"side"."Odd ""t"""', 5, true)`],
    ['REFERENCES public.customer(id)', 'REFERENCES public.customer(id)'],
    [`DEFAULT 'see public.orders, it''s there'`, `DEFAULT 'see public.orders, it''s there'`],
    ['AS $f$ SELECT public.orders $f$', 'AS $f$ SELECT public.orders $f$'],
    ['-- public.orders\nSELECT 1', '-- public.orders\nSELECT 1'],
    ['x.public.orders', 'x.public.orders'],
    [`E'\\'public.orders' || public.orders`, `E'\\'public.orders' || "side".orders`],
  ])('move to another schema where they are names: %s', (statement, moved) => {
    expect(moveNames(statement, schemaOf)).toBe(moved)
  })
})
