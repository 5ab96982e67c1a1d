import { Box, type BoxProps, Group, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';

interface Props extends Omit<BoxProps, 'right'> {
  title?: ReactNode;
  subtitle?: ReactNode;
  right?: ReactNode;
  children?: ReactNode;
  /** Of the heading, for the order of headings on a page. */
  order?: 2 | 3;
  id?: string;
  /** What stands right goes below on small screens. */
  wrap?: boolean;
}

/** The one surface of the pages. */
export function Card({ title, subtitle, right, children, order = 2, id, wrap, ...box }: Props) {
  return (
    <Box component="section" className="weir-card" p="lg" aria-labelledby={id} {...box}>
      {(title || right) && (
        <Group
          justify="space-between"
          align="flex-start"
          mb={children ? 'md' : 0}
          wrap={wrap ? 'wrap' : 'nowrap'}
          gap="md"
        >
          <div>
            {title && (
              <Title order={order} fz="md" id={id}>
                {title}
              </Title>
            )}
            {subtitle && (
              <Text c="dimmed" fz="sm" mt={2}>
                {subtitle}
              </Text>
            )}
          </div>
          {right}
        </Group>
      )}
      {children}
    </Box>
  );
}
