import { Button, Group, NavLink, Text } from '@mantine/core';
import { Link, useLocation } from '@tanstack/react-router';
import { LayoutGrid, Plus, Settings } from 'lucide-react';
import { useClusters } from '@/api/hooks';
import { useSpeech } from '@/lib/i18n';
import { Dot } from '@/ui/Status';
import { toneOfCluster } from '../cluster/health';

export function Navigation() {
  const { t } = useSpeech();
  const clusters = useClusters();
  const { pathname } = useLocation();
  return (
    <>
      <NavLink
        component={Link}
        to="/"
        active={pathname === '/'}
        label={t.app.fleet}
        leftSection={<LayoutGrid size={18} />}
        style={{ borderRadius: 8 }}
      />
      <Text
        fz={11}
        fw={700}
        c="dimmed"
        px="sm"
        mt="lg"
        mb={6}
        tt="uppercase"
        style={{ letterSpacing: '0.05em' }}
      >
        {t.app.clusters}
      </Text>
      {clusters.data?.map((c) => (
        <NavLink
          key={c.id}
          component={Link}
          to={`/c/${c.name}`}
          active={pathname === `/c/${c.name}` || pathname.startsWith(`/c/${c.name}/`)}
          label={
            <Text fz="sm" truncate>
              {c.name}
            </Text>
          }
          leftSection={
            <Group w={18} justify="center">
              <Dot tone={toneOfCluster(c)} />
            </Group>
          }
          style={{ borderRadius: 8 }}
        />
      ))}
      <Button
        component={Link}
        to="/clusters/new"
        variant="subtle"
        size="sm"
        fullWidth
        justify="flex-start"
        leftSection={<Plus size={18} />}
        mt={4}
        px="sm"
        c="var(--weir-accent)"
      >
        {t.app.newCluster}
      </Button>
      <NavLink
        component={Link}
        to="/settings"
        active={pathname === '/settings'}
        label={t.app.settings}
        leftSection={<Settings size={18} />}
        mt="lg"
        style={{ borderRadius: 8 }}
      />
    </>
  );
}
