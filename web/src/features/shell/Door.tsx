import { Box, Center, Group, Paper, Text, Title } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';
import { Logo } from '@/ui/Logo';
import { LanguageSwitch, SchemeSwitch } from './Switches';

/** The frame of the pages before the log-in. */
export function Door({
  title,
  subtitle,
  children,
}: {
  title: string;
  subtitle?: string;
  children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Weir`;
  }, [title]);
  return (
    <Box mih="100vh" style={{ display: 'flex', flexDirection: 'column' }}>
      <Group justify="flex-end" p="md" gap={6} component="header">
        <LanguageSwitch />
        <SchemeSwitch />
      </Group>
      <Center component="main" style={{ flex: 1 }} p="md" pb={110}>
        <Paper className="weir-card" p={36} w="100%" maw={440}>
          <Logo size={44} />
          <Title order={1} fz={24} mt="md">
            {title}
          </Title>
          {subtitle && (
            <Text c="dimmed" fz="sm" mt={6}>
              {subtitle}
            </Text>
          )}
          <Box mt="lg">{children}</Box>
        </Paper>
      </Center>
    </Box>
  );
}
