import { Button, Stack, Text, Title } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { Compass } from 'lucide-react';
import { useSpeech } from '@/lib/i18n';

export function NotFoundPage() {
  const { t } = useSpeech();
  return (
    <Stack align="center" py={80} gap="sm" ta="center">
      <Compass size={44} color="var(--weir-accent)" strokeWidth={1.5} aria-hidden />
      <Title order={1}>{t.app.notFound}</Title>
      <Text c="dimmed">{t.app.notFoundHelp}</Text>
      <Button component={Link} to="/" mt="md">
        {t.app.toFleet}
      </Button>
    </Stack>
  );
}
