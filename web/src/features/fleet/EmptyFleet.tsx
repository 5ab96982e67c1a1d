import { Button, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { HeartPulse, Layers, PlugZap, Plus } from 'lucide-react';
import { useSpeech } from '@/lib/i18n';
import { Logo } from '@/ui/Logo';
import classes from './fleet.module.css';

/** No clusters yet: says what one can do, and how it begins. */
export function EmptyFleet({ mayCreate }: { mayCreate: boolean }) {
  const { t } = useSpeech();
  const steps = [
    { icon: Layers, title: t.fleet.step1, text: t.fleet.step1Text },
    { icon: PlugZap, title: t.fleet.step2, text: t.fleet.step2Text },
    { icon: HeartPulse, title: t.fleet.step3, text: t.fleet.step3Text },
  ];
  return (
    <Stack className="weir-card" align="center" gap="lg" p="xl" py={56} ta="center">
      <Logo size={56} />
      <div>
        <Title order={2} fz={24}>
          {t.fleet.emptyTitle}
        </Title>
        <Text c="dimmed" maw={560} mt="xs" mx="auto">
          {t.fleet.emptyText}
        </Text>
      </div>
      {mayCreate && (
        <Button component={Link} to="/clusters/new" size="md" leftSection={<Plus size={18} />}>
          {t.app.newCluster}
        </Button>
      )}
      <SimpleGrid cols={{ base: 1, sm: 3 }} mt="md" w="100%" maw={940}>
        {steps.map(({ icon: Icon, title, text }, i) => (
          <div key={title} className={classes.step}>
            <Icon size={22} color="var(--weir-accent)" aria-hidden />
            <Text fw={650} mt="xs">
              {i + 1}. {title}
            </Text>
            <Text fz="sm" c="dimmed" mt={4}>
              {text}
            </Text>
          </div>
        ))}
      </SimpleGrid>
    </Stack>
  );
}
