import { Group, Radio, SimpleGrid, Text } from '@mantine/core';
import { Boxes, FlaskConical, type LucideIcon, Server } from 'lucide-react';
import type { Profile } from '@/api/types';
import { bytes } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import classes from './create.module.css';

const icons: Record<string, LucideIcon> = { dev: FlaskConical, 'prod-3': Server, 'prod-5': Boxes };

export function ProfileCards({
  profiles,
  value,
  onChange,
}: {
  profiles: Profile[];
  value: string;
  onChange: (name: string) => void;
}) {
  const { t, say } = useSpeech();
  return (
    <Radio.Group value={value} onChange={onChange} aria-label={t.create.profile}>
      <SimpleGrid cols={{ base: 1, xs: 3 }} spacing="sm">
        {profiles.map((p) => {
          const Icon = icons[p.name] ?? Server;
          const words = t.create.profiles[p.name] ?? { title: p.name, text: say(p.doc) };
          return (
            <Radio.Card key={p.name} value={p.name} className={classes.option} p="md" radius="md">
              <Group justify="space-between" wrap="nowrap">
                <Icon size={22} color="var(--weir-accent)" aria-hidden />
                <Radio.Indicator />
              </Group>
              <Text fw={650} mt="sm" lh={1.3}>
                {words.title}
              </Text>
              <Text fz="xs" c="dimmed" mt={4} mih="3.2em">
                {words.text}
              </Text>
              <Text fz="xs" fw={600} mt="sm" className="weir-number">
                {t.cluster.brokersCount(p.brokers)} · {bytes(p.diskBytes)}
              </Text>
              <Text fz="xs" c={p.survives > 0 ? 'var(--weir-ok)' : 'var(--weir-warn)'} fw={600}>
                {t.create.survives(p.survives)}
              </Text>
            </Radio.Card>
          );
        })}
      </SimpleGrid>
    </Radio.Group>
  );
}
