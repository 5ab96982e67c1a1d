import { Group, Text, Title } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';

/** The head of a page; its title is the window's too. */
export function PageHead({
  title,
  subtitle,
  badge,
  right,
}: {
  title: string;
  subtitle?: ReactNode;
  badge?: ReactNode;
  right?: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Weir`;
  }, [title]);
  return (
    <Group justify="space-between" align="flex-end" mb="lg" gap="md">
      <div>
        <Group gap="sm" align="center">
          <Title order={1}>{title}</Title>
          {badge}
        </Group>
        {subtitle && (
          <Text c="dimmed" mt={4} fz="sm" component="div">
            {subtitle}
          </Text>
        )}
      </div>
      {right}
    </Group>
  );
}
