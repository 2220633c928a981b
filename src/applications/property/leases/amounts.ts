const MAX_DIGITS = 20

/**
 * Currencies whose minor unit is not a hundredth, by ISO 4217 (2026). Intl is not used: its data comes from CLDR, which gives the
 * decimals used in shops (0 for AFN or LBP) and changes with each version.
 */
const DECIMALS = new Map(
  Object.entries({
    0: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF',
    3: 'BHD IQD JOD KWD LYD OMR TND',
    4: 'CLF UYW',
  }).flatMap(([decimals, codes]) => codes.split(' ').map((code) => [code, Number(decimals)] as const)),
)

/** Minor units as people write them: 123456 of EUR → `EUR 1,234.56`, of JPY → `JPY 123,456`, of KWD → `KWD 123.456`. */
export function amountOf(minorUnits: number, currency: string): string {
  const decimals = DECIMALS.get(currency) ?? 2
  const digits = String(minorUnits)
    .slice(0, MAX_DIGITS)
    .padStart(decimals + 1, '0')
  const at = digits.length - decimals
  const whole = digits.slice(0, at).replace(/\B(?=(\d{3})+$)/g, ',')
  return `${currency} ${whole}${decimals === 0 ? '' : `.${digits.slice(at)}`}`
}
