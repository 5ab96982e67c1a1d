import { notifications } from '@mantine/notifications';
import { act, cleanup, screen } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import { show } from '@/testing';
import { Notices } from './Notices';

afterEach(() => {
  act(() => notifications.clean());
  cleanup();
});

it.each([
  ['en', 'Close'],
  ['ko', '닫기'],
] as const)('a notice in %s can be closed by name', async (language, close) => {
  show(<Notices />, language);
  act(() => {
    notifications.show({ message: 'Started' });
  });
  await screen.findByText('Started');
  const buttons = screen.getAllByRole('button');
  expect(buttons.map((b) => b.getAttribute('aria-label'))).toEqual([close]);
});
