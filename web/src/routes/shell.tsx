import { AppShell, Burger, Center, Group, Loader, ScrollArea, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { Navigate, Outlet, useLocation } from '@tanstack/react-router';
import { useEffect } from 'react';
import { LiveProvider } from '@/api/events';
import { useSession } from '@/api/hooks';
import { LiveMark } from '@/features/shell/LiveMark';
import { Navigation } from '@/features/shell/Navigation';
import { AccountMenu, LanguageSwitch, SchemeSwitch } from '@/features/shell/Switches';
import { useSpeech } from '@/lib/i18n';
import { Logo } from '@/ui/Logo';
import { ErrorState } from '@/ui/States';

/** The frame around every page of somebody who is logged in. */
export function Shell() {
  const { t } = useSpeech();
  const session = useSession();
  const location = useLocation();
  const [open, { toggle, close }] = useDisclosure(false);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the menu of small screens closes when the page changes
  useEffect(close, [location.pathname]);

  if (session.isPending) {
    return (
      <Center h="100vh">
        <Loader aria-label={t.common.loading} />
      </Center>
    );
  }
  if (session.isError) {
    return (
      <Center h="100vh" p="md">
        <ErrorState error={session.error} onRetry={() => session.refetch()} />
      </Center>
    );
  }
  if (!session.data)
    return (
      <Navigate
        to="/login"
        search={{ to: location.pathname === '/' ? undefined : location.pathname }}
        replace
      />
    );

  return (
    <LiveProvider enabled>
      <a className="weir-skip" href="#main">
        {t.app.skip}
      </a>
      <AppShell
        header={{ height: 58 }}
        navbar={{ width: 248, breakpoint: 'sm', collapsed: { mobile: !open } }}
        padding={{ base: 'md', md: 'xl' }}
      >
        <AppShell.Header px="md" bg="var(--weir-surface)">
          <Group h="100%" justify="space-between" wrap="nowrap">
            <Group gap="sm" wrap="nowrap">
              <Burger opened={open} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t.app.menu} />
              <Logo />
              <Text fw={700} fz={19} style={{ letterSpacing: '-0.02em' }}>
                Weir
              </Text>
            </Group>
            <Group gap={6} wrap="nowrap">
              <LiveMark />
              <LanguageSwitch />
              <SchemeSwitch />
              <AccountMenu session={session.data} />
            </Group>
          </Group>
        </AppShell.Header>
        <AppShell.Navbar p="md" bg="var(--weir-surface)" aria-label={t.app.navigation}>
          <ScrollArea style={{ flex: 1 }} type="auto">
            <Navigation />
          </ScrollArea>
        </AppShell.Navbar>
        <AppShell.Main id="main" tabIndex={-1} style={{ outline: 'none' }}>
          <div style={{ maxWidth: 1280, marginInline: 'auto' }}>
            <Outlet />
          </div>
        </AppShell.Main>
      </AppShell>
    </LiveProvider>
  );
}
