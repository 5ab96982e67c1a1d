import { createTheme, type MantineColorsTuple } from '@mantine/core';

// River: the one accent. Its eighth shade carries white text at 5:1.
const river: MantineColorsTuple = [
  '#e5f6f8',
  '#cfecf0',
  '#a1d9e1',
  '#6fc4d1',
  '#46b1c2',
  '#2ba2b5',
  '#14879a',
  '#0b7285',
  '#085e6e',
  '#064b58',
];

const dark: MantineColorsTuple = [
  '#d8e1e8',
  '#b4c2cd',
  '#93a5b3',
  '#6b7f8e',
  '#3b4d5b',
  '#2a3945',
  '#1d2a34',
  '#141f28',
  '#0e171e',
  '#0a1117',
];

export const theme = createTheme({
  primaryColor: 'river',
  primaryShade: { light: 7, dark: 7 },
  colors: { river, dark },
  fontFamily:
    "'Inter Variable', 'Pretendard', 'Apple SD Gothic Neo', 'Noto Sans KR', 'Malgun Gothic', 'NanumGothic', system-ui, sans-serif",
  fontFamilyMonospace:
    "ui-monospace, 'SF Mono', 'JetBrains Mono', 'Liberation Mono', Menlo, Consolas, monospace",
  defaultRadius: 'md',
  autoContrast: true,
  cursorType: 'pointer',
  headings: {
    fontWeight: '650',
    sizes: { h1: { fontSize: '1.6rem' }, h2: { fontSize: '1.15rem' }, h3: { fontSize: '1rem' } },
  },
});

/** The colours of series in graphs: told apart without red and green, 3:1 on both grounds. */
export const seriesColors = {
  light: ['#0b7285', '#b3541e', '#5f3dc4', '#2b8a3e', '#a61e4d', '#1864ab', '#846200', '#495057'],
  dark: ['#4cc5d6', '#ffa36b', '#a99bf5', '#6fcf84', '#f783ac', '#74c0fc', '#e0c14a', '#adb5bd'],
} as const;
