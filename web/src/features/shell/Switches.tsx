import {
  ActionIcon,
  Avatar,
  Badge,
  Group,
  Menu,
  SegmentedControl,
  Text,
  Tooltip,
  UnstyledButton,
  useComputedColorScheme,
  useMantineColorScheme,
} from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { LogOut, Moon, Settings, Sun } from 'lucide-react';
import { rememberSession } from '@/api/client';
import type { Session } from '@/api/types';
import { send } from '@/api/writes';
import { type Language, useSpeech } from '@/lib/i18n';

export function LanguageSwitch() {
  const { t, language, setLanguage } = useSpeech();
  return (
    <SegmentedControl
      size="xs"
      aria-label={t.app.language}
      value={language}
      onChange={(v) => setLanguage(v as Language)}
      data={[
        { value: 'en', label: 'EN' },
        { value: 'ko', label: '한국어' },
      ]}
    />
  );
}

export function SchemeSwitch() {
  const { t } = useSpeech();
  const { setColorScheme } = useMantineColorScheme();
  const now = useComputedColorScheme('light');
  const next = now === 'dark' ? 'light' : 'dark';
  return (
    <Tooltip label={t.app[next]}>
      <ActionIcon
        variant="subtle"
        color="gray"
        c="dimmed"
        size="lg"
        aria-label={`${t.app.scheme}: ${t.app[next]}`}
        onClick={() => setColorScheme(next)}
      >
        {next === 'dark' ? <Moon size={18} /> : <Sun size={18} />}
      </ActionIcon>
    </Tooltip>
  );
}

export function AccountMenu({ session }: { session: Session }) {
  const { t } = useSpeech();
  const client = useQueryClient();
  const navigate = useNavigate();
  const leave = async () => {
    await send.logout().catch(() => undefined); // gone already is gone
    rememberSession(null);
    client.clear();
    notifications.clean(); // they were for who has left
    await navigate({ to: '/login', search: {} });
  };
  return (
    <Menu position="bottom-end" width={220} withArrow>
      <Menu.Target>
        <UnstyledButton aria-label={`${t.app.account}: ${session.name}`}>
          <Avatar size={34} radius="xl" name={session.name} color="river" variant="filled" />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Group px="sm" py={8} justify="space-between" wrap="nowrap">
          <Text fw={600} fz="sm" truncate>
            {session.name}
          </Text>
          <Badge variant="default" radius="sm" size="sm" tt="none">
            {t.roles[session.role]}
          </Badge>
        </Group>
        <Menu.Divider />
        <Menu.Item leftSection={<Settings size={16} />} onClick={() => navigate({ to: '/settings' })}>
          {t.app.settings}
        </Menu.Item>
        <Menu.Item leftSection={<LogOut size={16} />} onClick={leave}>
          {t.app.signOut}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
