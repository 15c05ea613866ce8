const POINT = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?$/i;
/** `16,13` and `0,223`: no group of thousands has other than three digits, or follows a lone 0. */
const COMMA = /^[+-]?(\d+,(\d{1,2}|\d{4,})|0,\d+)$/;
/** `1,234`: one thousand, or one and a bit. */
const EITHER = /^[+-]?[1-9]\d{0,2},\d{3}$/;
/** `1.234,56`, `1.234.567`. */
const THOUSANDS_COMMA = /^[+-]?\d{1,3}((\.\d{3})+,\d+|(\.\d{3}){2,})$/;
/** `1,234.56`, `1,234,567`. */
const THOUSANDS_POINT = /^[+-]?\d{1,3}((,\d{3})+\.\d+|(,\d{3}){2,})$/;

const commaless = (text: string): number => Number(text.replaceAll(',', ''));
const withComma = (text: string): number => Number(text.replaceAll('.', '').replace(',', '.'));

/** Whether some number of a row can only have a decimal comma: then those that could have either do. */
export function hasDecimalComma(cells: readonly string[]): boolean {
  return cells.some((text) => COMMA.test(text) || THOUSANDS_COMMA.test(text));
}

/**
 * A number with a decimal point, or with a comma where that cannot mean anything else, or where the rest of its row has commas. A
 * text is the reason why it is not a number.
 */
export function decimalOf(text: string, commas: boolean): number | string {
  if (commas && /^[+-]?[1-9]\d{0,2}\.\d{3}$/.test(text)) return EITHER_WAY;
  if (POINT.test(text)) return finite(Number(text));
  if (COMMA.test(text) || THOUSANDS_COMMA.test(text)) return finite(withComma(text));
  if (THOUSANDS_POINT.test(text)) return finite(commaless(text));
  if (EITHER.test(text)) return commas ? finite(withComma(text)) : EITHER_WAY;
  return 'is not a number';
}

const EITHER_WAY = 'may be thousands or a fraction (write it with a decimal point, without thousands)';

function finite(value: number): number | string {
  return Number.isFinite(value) ? value : 'is not a number';
}
